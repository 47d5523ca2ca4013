/** All rules of `trysail analyze`, in the order in which docs/analyze.md has their codes. */
import type { AnalysisRule } from './analysis-rule.ts';
import { addresslessPort } from './rules/addressless-port.ts';
import { applicableEnvoyFilter } from './rules/applicable-envoy-filter.ts';
import { destinationPort } from './rules/destination-port.ts';
import { duplicateCertificate } from './rules/duplicate-certificate.ts';
import { emptySubset } from './rules/empty-subset.ts';
import { envoyFilterOrder } from './rules/envoy-filter-order.ts';
import { failoverWithoutOutliers } from './rules/failover-without-outliers.ts';
import { faultWithoutShare } from './rules/fault-without-share.ts';
import { gatewayConflict } from './rules/gateway-conflict.ts';
import { gatewayReference } from './rules/gateway-reference.ts';
import { meshRulesAtGateway } from './rules/mesh-rules-at-gateway.ts';
import { outliersNeverEjected } from './rules/outliers-never-ejected.ts';
import { portSettingsReplace } from './rules/port-settings-replace.ts';
import { rateLimitGateway } from './rules/rate-limit-gateway.ts';
import { selectorWithoutWorkload } from './rules/selector-without-workload.ts';
import { serviceEntryProtocols } from './rules/service-entry-protocols.ts';
import { shadowedPolicy } from './rules/shadowed-policy.ts';
import { sidecarOverlap } from './rules/sidecar-overlap.ts';
import { subsetOutOfReach } from './rules/subset-out-of-reach.ts';
import { unknownRuleHost } from './rules/unknown-rule-host.ts';
import { unreachableRoute } from './rules/unreachable-route.ts';
import { unverifiedTls } from './rules/unverified-tls.ts';

/** Each looks at the whole mesh and knows nothing of the others. */
export const RULES: readonly AnalysisRule[] = [
  gatewayReference,
  sidecarOverlap,
  destinationPort,
  selectorWithoutWorkload,
  unverifiedTls,
  unreachableRoute,
  addresslessPort,
  duplicateCertificate,
  meshRulesAtGateway,
  gatewayConflict,
  envoyFilterOrder,
  emptySubset,
  unknownRuleHost,
  rateLimitGateway,
  serviceEntryProtocols,
  failoverWithoutOutliers,
  faultWithoutShare,
  shadowedPolicy,
  portSettingsReplace,
  outliersNeverEjected,
  subsetOutOfReach,
  applicableEnvoyFilter,
];
