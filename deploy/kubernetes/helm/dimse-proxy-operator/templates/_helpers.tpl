{{- define "operator.labels" -}}
app.kubernetes.io/name: dimse-proxy-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: dimse-proxy-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "operator.name" -}}
{{- if contains "dimse-proxy-operator" .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-dimse-proxy-operator" .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "operator.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* The namespaces that are served, the release's own first. */}}
{{- define "operator.namespaces" -}}
{{ prepend (without .Values.namespaces .Release.Namespace) .Release.Namespace | toJson }}
{{- end }}
