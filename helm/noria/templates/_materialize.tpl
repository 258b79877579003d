{{/* The container that works on features. Called with (list root command). */}}

{{- define "noria.materializeContainer" -}}
{{- $root := first . -}}
image: {{ include "noria.image" (list $root $root.Values.images.monitoring) }}
imagePullPolicy: {{ include "noria.pullPolicy" (list $root $root.Values.images.monitoring) }}
command: {{ last . | toJson }}
envFrom:
  - configMapRef: {name: {{ $root.Values.settings.configMap }}}
env:
  - {name: NORIA_HOME, value: /tmp/noria}
  - {name: NORIA_ONLINE_PASSWORD_FILE, value: /var/run/noria/redis/password}
  {{- if hasPrefix "postgresql" (include "noria.registry" $root) }}
  - name: PGPASSWORD
    valueFrom:
      secretKeyRef: {name: {{ $root.Values.secrets.postgresql }}, key: password}
  {{- end }}
resources:
  {{- toYaml $root.Values.materialize.resources | nindent 2 }}
securityContext:
  {{- include "noria.containerSecurity" 65532 | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: redis, mountPath: /var/run/noria/redis, readOnly: true}
  {{- include "noria.storeMount" $root | nindent 2 }}
{{- end }}
