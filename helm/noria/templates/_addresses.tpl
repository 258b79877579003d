{{/* Addresses: those that are given, or else those of the development parts. */}}

{{- define "noria.s3Endpoint" -}}
{{- if .Values.settings.s3Endpoint }}{{ .Values.settings.s3Endpoint }}
{{- else if .Values.devServices.enabled }}http://{{ .Release.Name }}-seaweedfs.{{ .Release.Namespace }}:8333
{{- end }}
{{- end }}

{{- define "noria.online" -}}
{{- if .Values.settings.online }}{{ .Values.settings.online }}
{{- else if .Values.devServices.enabled }}redis://{{ .Release.Name }}-redis.{{ .Release.Namespace }}:6379/0
{{- end }}
{{- end }}

{{/* The password is not in it: libpq reads PGPASSWORD. */}}
{{- define "noria.registry" -}}
{{- if .Values.settings.registry }}{{ .Values.settings.registry }}
{{- else if .Values.devServices.enabled }}postgresql+psycopg://noria@{{ .Release.Name }}-postgresql.{{ .Release.Namespace }}:5432/feast
{{- end }}
{{- end }}
