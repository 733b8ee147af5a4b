-- The health of a TracingPolicy for Argo CD: what kstatus, and so Flux and kubectl wait, read from the same conditions.
-- It goes into the ConfigMap argocd-cm under the key resource.customizations.health.clew.dev_TracingPolicy.

local status = obj.status or {}
if (status.observedGeneration or 0) < (obj.metadata.generation or 1) then
  return {status = "Progressing", message = "The operator has not seen this generation yet"}
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local function answer(health, name)
  local condition = conditions[name] or {}
  local text = condition.message
  if text == nil or text == "" then
    text = condition.reason or status.message or ""
  end
  return {status = health, message = text}
end

if holds("Stalled") then
  return answer("Degraded", "Stalled")
end
if holds("Ready") and not holds("Reconciling") then
  return answer("Healthy", "Ready")
end
local rollout = (obj.spec or {}).rollout or {}
if rollout.paused then
  return answer("Suspended", "Reconciling")
end
return answer("Progressing", "Reconciling")
