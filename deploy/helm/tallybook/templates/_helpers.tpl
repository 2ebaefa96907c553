{{- define "tallybook.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "tallybook.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "tallybook.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tallybook.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tallybook.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tallybook.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tallybook.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "tallybook.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "tallybook.image" -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
{{- end }}

{{/* TALLYBOOK_BASE_PATH without a slash at its end, or nothing. */}}
{{- define "tallybook.basePath" -}}
{{- get .Values.env "TALLYBOOK_BASE_PATH" | trimSuffix "/" }}
{{- end }}

{{/* The scheme of probes and scrapes. */}}
{{- define "tallybook.scheme" -}}
{{- ternary "https" "http" (ne .Values.tlsSecret "") }}
{{- end }}

{{/* Refuses settings that can't work. */}}
{{- define "tallybook.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.existingSecret) }}
{{- fail "Several replicas need existingSecret, with a database and the tokens and keys that they share." }}
{{- end }}
{{- range $name, $_ := .Values.env }}
{{- if has $name (list "DATABASE_URL" "DATABASE_READ_URL" "TALLYBOOK_DP_TOKEN" "TALLYBOOK_ADMIN_TOKEN" "TALLYBOOK_AUDITOR_TOKEN" "TALLYBOOK_METRICS_TOKEN") }}
{{- fail (printf "%s is a secret: put it into existingSecret instead of env." $name) }}
{{- end }}
{{- if has $name (list "TALLYBOOK_SHARDS" "TALLYBOOK_HOST" "TALLYBOOK_PORT" "TALLYBOOK_DATA_DIR" "TALLYBOOK_LOG_KEYS" "TALLYBOOK_TLS_CERT" "TALLYBOOK_TLS_KEY") }}
{{- fail (printf "%s is set by the chart; remove it from env." $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tallybook.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tallybook.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The environment of an instance. */}}
{{- define "tallybook.env" -}}
- { name: TALLYBOOK_HOST, value: "0.0.0.0" }
- { name: TALLYBOOK_PORT, value: "3000" }
- { name: TALLYBOOK_DATA_DIR, value: /data }
- { name: TALLYBOOK_SHARDS, value: {{ .Values.shards | quote }} }
{{- with .Values.existingSecret }}
- { name: TALLYBOOK_LOG_KEYS, value: /secrets/signing-keys }
{{- range $name, $key := dict "DATABASE_URL" "database-url" "TALLYBOOK_DP_TOKEN" "dp-token" "TALLYBOOK_ADMIN_TOKEN" "admin-token" "TALLYBOOK_AUDITOR_TOKEN" "auditor-token" }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $.Values.existingSecret }}, key: {{ $key }} } }
{{- end }}
{{- range $name, $key := dict "DATABASE_READ_URL" "database-read-url" "TALLYBOOK_METRICS_TOKEN" "metrics-token" }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $.Values.existingSecret }}, key: {{ $key }}, optional: true } }
{{- end }}
{{- end }}
{{- if .Values.tlsSecret }}
- { name: TALLYBOOK_TLS_CERT, value: /tls/tls.crt }
- { name: TALLYBOOK_TLS_KEY, value: /tls/tls.key }
{{- end }}
{{- range $name, $value := .Values.env }}
{{- /* A whole number of a values file is a float here, and one from a million on would be 1e+06. */}}
{{- if and (kindIs "float64" $value) (eq $value (floor $value)) }}
{{- $value = printf "%.0f" $value }}
{{- end }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}
