{{/* Skips: what checkov would have otherwise, each with the reason. Called with a list of its checks. */}}

{{- define "noria.skips" -}}
{{- $reasons := dict
  "CKV_K8S_15" "images are loaded by hand where no registry is, and a tag never moves"
  "CKV_K8S_35" "libpq and SeaweedFS take their keys from the environment; they are in no log and no rendered file"
  "CKV_K8S_40" "70 is the user postgres of the image, and initdb refuses a user that no passwd file has"
  "CKV_K8S_43" "tags where images are loaded by hand; prod names digests, and images.requireDigest holds it to that" }}
{{- range $number, $check := . }}
checkov.io/skip{{ add1 $number }}: {{ printf "%s=%s" $check (get $reasons $check) | quote }}
{{- end }}
{{- end }}
