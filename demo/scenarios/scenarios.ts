/** All scenarios in the order in which they run: each leaves the mesh as the next one expects it. */
import { agentKilled } from './agent-killed.ts';
import { applicationKilled } from './application-killed.ts';
import { canary } from './canary.ts';
import { certificateRotated } from './certificate-rotated.ts';
import { endToEnd } from './end-to-end.ts';
import { envoyKilled } from './envoy-killed.ts';
import { faultPublished } from './fault-published.ts';
import { headerRouting } from './header-routing.ts';
import { packetsDropped } from './packets-dropped.ts';
import { rateLimited } from './rate-limited.ts';
import { rogueRegistration } from './rogue-registration.ts';
import type { Scenario } from './scenario.ts';
import { strict } from './strict.ts';

export const SCENARIOS: readonly Scenario[] = [
  endToEnd,
  canary,
  headerRouting,
  faultPublished,
  rateLimited,
  applicationKilled,
  envoyKilled,
  packetsDropped,
  certificateRotated,
  agentKilled,
  strict,
  rogueRegistration,
];
