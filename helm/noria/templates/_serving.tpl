{{/* Serving: what the step `deploy` lays over its InferenceService, beside what a release decides. */}}

{{- define "noria.servingObject" -}}
{{- $scaling := eq .Values.autoscaling.kind "none" | ternary "none" "external" }}
{{- $model := dict "runtime" .Values.predictor.runtime "resources" .Values.predictor.resources }}
{{- $predictor := dict "enableServiceLinks" false "model" $model }}
{{- $_ := set $predictor "serviceAccountName" .Values.predictor.serviceAccount }}
{{- $_ := set $predictor "storageContainerName" .Values.storageContainer.name }}
{{- with .Values.images.pullSecrets }}
{{- $secrets := list }}
{{- range . }}{{ $secrets = append $secrets (dict "name" .) }}{{ end }}
{{- $_ := set $predictor "imagePullSecrets" $secrets }}
{{- end }}
{{- $annotations := dict "serving.kserve.io/autoscalerClass" $scaling }}
{{- dict "metadata" (dict "annotations" $annotations) "spec" (dict "predictor" $predictor) | toJson }}
{{- end }}
