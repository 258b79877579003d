{{/* Images: repository and digest, or else tag. Called with (list root image). */}}

{{- define "noria.image" -}}
{{- $root := first . }}
{{- $image := last . }}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else if $root.Values.images.requireDigest -}}
{{- fail (printf "image %s has no digest, and images.requireDigest is on: set it as your registry says it (sha256:…)" $image.repository) }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* When a node fetches it. A name without a registry would be Docker Hub's, where it is somebody else's: never. */}}
{{- define "noria.pullPolicy" -}}
{{- $root := first . }}
{{- $host := first (splitList "/" (last .).repository) -}}
{{- $own := and (contains "/" (last .).repository) (or (contains "." $host) (contains ":" $host) (eq $host "localhost")) -}}
{{ $root.Values.images.pullPolicy | default ($own | ternary "IfNotPresent" "Never") }}
{{- end }}

{{- define "noria.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
