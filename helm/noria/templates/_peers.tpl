{{/* Peers: who is meant at the other end of a network policy. */}}

{{/* One that values name: {namespace, podLabels} or {cidr}. */}}
{{- define "noria.peer" -}}
{{- if .cidr }}
- ipBlock: {cidr: {{ .cidr }}}
{{- else }}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
  podSelector:
    matchLabels: {{ .podLabels | default dict | toJson }}
{{- end }}
{{- end }}

{{/* One of ours, by component. Called with (list root component). */}}
{{- define "noria.ourPeer" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ (first .).Release.Namespace }}}
  podSelector:
    matchLabels:
      {{- include "noria.selector" . | nindent 6 }}
{{- end }}

{{/* The steps' pods, which Kubeflow Pipelines makes, and not its own parts beside them. */}}
{{- define "noria.stepPeer" -}}
{{- include "noria.peer" (dict "namespace" .Values.namespaces.pipelines "podLabels" .Values.networkPolicy.stepLabels) }}
{{- end }}

{{/* The predictors' pods, which KServe makes. */}}
{{- define "noria.predictorPeer" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .Values.namespaces.serving }}}
  podSelector:
    matchLabels: {component: predictor}
    matchExpressions: [{key: serving.kserve.io/inferenceservice, operator: Exists}]
{{- end }}

{{/* Rules to reach a store: ours, and those that values name. Called with (list root component port peers). */}}
{{- define "noria.toStore" -}}
{{- $root := index . 0 }}
{{- if $root.Values.devServices.enabled }}
- to:
    {{- include "noria.ourPeer" (list $root (index . 1)) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ index . 2 }}}]
{{- end }}
{{- range index . 3 }}
- to:
    {{- include "noria.peer" . | nindent 4 }}
  ports: [{protocol: TCP, port: {{ .port }}}]
{{- end }}
{{- end }}
