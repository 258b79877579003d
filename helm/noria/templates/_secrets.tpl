{{/* Secrets: environment variables whose values stand in objects that somebody else makes. */}}

{{- define "noria.s3Keys" -}}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: {name: {{ $.Values.secrets.s3 }}, key: {{ . }}}
{{- end }}
{{- end }}
