{{/* Names are fixed: there is one Clew in a cluster, since its kinds and its agents are the cluster's. */}}

{{/* The image of a part: (dict "part" "operator" "context" $). */}}
{{- define "clew.image" -}}
{{ .context.Values.image.repository }}/{{ .part }}:{{ .context.Values.image.tag | default .context.Chart.AppVersion }}
{{- end }}

{{/* What selects a part's pods: (dict "part" "operator" "context" $). Never to be changed, since selectors are immutable. */}}
{{- define "clew.selector" -}}
app.kubernetes.io/name: clew
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "clew.labels" -}}
{{ include "clew.selector" . }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: clew
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: clew-{{ .context.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "clew.priorityClass" -}}
{{ if .Values.priorityClass.create }}clew{{ else }}{{ .Values.priorityClass.name }}{{ end }}
{{- end }}

{{/* What a pod has apart from its containers: image secrets, priority, where it may run. */}}
{{- define "clew.placement" -}}
{{- with .context.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "clew.priorityClass" .context }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The files of otlp.tls, each by the end of the variable that names it: OTEL_EXPORTER_OTLP_… */}}
{{- define "clew.otlpFiles" -}}
{{- with .Values.otlp }}
{{- if .tls.secret }}
{{- if hasPrefix "http://" .endpoint }}
{{- fail (printf "otlp.tls.secret is set, and otlp.endpoint %s is without TLS: it must begin with https://" .endpoint) }}
{{- end }}
CERTIFICATE: ca.crt
{{- if .tls.clientCertificate }}
CLIENT_CERTIFICATE: tls.crt
CLIENT_KEY: tls.key
{{- end }}
{{- else if .tls.clientCertificate }}
{{- fail "otlp.tls.clientCertificate is true, and otlp.tls.secret names no Secret with tls.crt and tls.key" }}
{{- end }}
{{- end }}
{{- end }}
