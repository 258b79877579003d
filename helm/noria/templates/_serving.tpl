{{/* Serving: what the step `deploy` lays over its InferenceService, beside what a release decides. */}}

{{- define "noria.servingObject" -}}
{{- $scaling := eq .Values.autoscaling.kind "none" | ternary "none" "external" }}
{{- $predictor := dict "enableServiceLinks" false "model" (dict "resources" .Values.predictor.resources) }}
{{- with .Values.images.pullSecrets }}
{{- $secrets := list }}
{{- range . }}{{ $secrets = append $secrets (dict "name" .) }}{{ end }}
{{- $_ := set $predictor "imagePullSecrets" $secrets }}
{{- end }}
{{- $annotations := dict "serving.kserve.io/autoscalerClass" $scaling }}
{{- dict "metadata" (dict "annotations" $annotations) "spec" (dict "predictor" $predictor) | toJson }}
{{- end }}
