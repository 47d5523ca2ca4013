/** What of the settings peers may be told, as long as capture is not in force for good. */
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

/**
 * The settings to register from. A captured service is reached through Envoy by the rules alone; until somebody has
 * confirmed them, peers find its application itself there, which is mode `outbound`.
 */
export function registrable(settings: AgentSettings, captureIsConfirmed: boolean): AgentSettings {
  const isAhead = ({ inbound, mode }: AgentSettings['services'][number]): boolean =>
    inbound?.capture !== undefined && isProxied(mode);
  if (captureIsConfirmed || !settings.services.some(isAhead)) return settings;
  return {
    ...settings,
    services: settings.services.map((service) => (isAhead(service) ? { ...service, mode: 'outbound' } : service)),
  };
}
