{{/* What the development parts have in common. Called with (list root name user). */}}

{{- define "noria.devPod" -}}
{{- $root := index . 0 }}
{{- $name := printf "%s-%s" $root.Release.Name (index . 1) -}}
serviceAccountName: {{ $name }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "noria.pullSecrets" $root }}
securityContext:
  {{- include "noria.podSecurity" (index . 2) | nindent 2 }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
  - name: data
    {{- if $root.Values.devServices.storage.size }}
    persistentVolumeClaim: {claimName: {{ $name }}}
    {{- else }}
    emptyDir: {}
    {{- end }}
{{- end }}

{{/* Image, resources and security of their container. */}}
{{- define "noria.devContainer" -}}
{{- $root := index . 0 }}
{{- $part := get $root.Values.devServices (index . 1) -}}
image: {{ $part.image }}
imagePullPolicy: {{ $root.Values.images.pullPolicy | default "IfNotPresent" }}
resources:
  {{- toYaml $part.resources | nindent 2 }}
securityContext:
  {{- include "noria.containerSecurity" (index . 2) | nindent 2 }}
{{- end }}
