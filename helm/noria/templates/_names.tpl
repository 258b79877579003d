{{/* Names: labels that every object has, and those that select pods. Called with (list root component). */}}

{{- define "noria.selector" -}}
app.kubernetes.io/name: noria
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "noria.labels" -}}
{{ include "noria.selector" . }}
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
app.kubernetes.io/part-of: noria
{{- end }}

{{/* What KServe puts on the pods and the Service of a task's predictor. */}}
{{- define "noria.predictorSelector" -}}
serving.kserve.io/inferenceservice: {{ . }}
component: predictor
{{- end }}
