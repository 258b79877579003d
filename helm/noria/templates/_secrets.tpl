{{/* Secrets: the keys of the object store, in an object that somebody else makes; without its name a role stands in. */}}

{{- define "noria.storeKeys" -}}
/var/run/noria/store
{{- end }}

{{- define "noria.storeVolume" -}}
{{- with .Values.secrets.s3 }}
- name: store
  secret: {secretName: {{ . }}}
{{- end }}
{{- end }}

{{- define "noria.storeMount" -}}
{{- if .Values.secrets.s3 }}
- {name: store, mountPath: {{ include "noria.storeKeys" . }}, readOnly: true}
{{- end }}
{{- end }}

{{/* As variables, for a program of others that takes them so. */}}
{{- define "noria.s3Keys" -}}
{{- $name := required "devServices bring an object store that wants keys: name their Secret in secrets.s3" .Values.secrets.s3 }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: {name: {{ $name }}, key: {{ . }}}
{{- end }}
{{- end }}
