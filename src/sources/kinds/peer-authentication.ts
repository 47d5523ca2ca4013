/** PeerAuthentication. https://istio.io/latest/docs/reference/config/security/peer_authentication/ */
import * as z from 'zod/mini';
import type { MtlsMode, PeerAuthentication } from '../../model/peer-authentication.ts';
import { labels } from '../field-types.ts';
import { defineKind } from './kind.ts';

const mtls = z.strictObject({ mode: z.optional(z.enum(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'])) });

const schema = z.strictObject({
  selector: z.optional(z.strictObject({ matchLabels: z.optional(labels) })),
  mtls: z.optional(mtls),
  portLevelMtls: z.optional(z.record(z.string(), mtls)),
});

function modeOf(spec: z.output<typeof mtls> | undefined): MtlsMode | undefined {
  return spec?.mode === 'UNSET' ? undefined : spec?.mode;
}

export const peerAuthenticationKind = defineKind({
  kind: 'PeerAuthentication',
  apiVersions: ['security.istio.io/v1', 'security.istio.io/v1beta1'],
  schema,
  unsupported: [],
  build(meta, spec, report): PeerAuthentication {
    const matchLabels = spec.selector?.matchLabels ?? {};
    const selector = Object.keys(matchLabels).length === 0 ? undefined : matchLabels;
    const portModes = new Map<number, MtlsMode>();
    for (const [key, value] of Object.entries(spec.portLevelMtls ?? {})) {
      const port = Number(key);
      if (!/^\d{1,5}$/.test(key) || port < 1 || port > 65_535)
        report(['portLevelMtls', key], `"${key}" is not a port`, 'Write a number from 1 to 65535.');
      const mode = modeOf(value);
      if (mode !== undefined) portModes.set(port, mode);
    }
    if (portModes.size > 0 && selector === undefined)
      report(
        ['portLevelMtls'],
        'needs a selector',
        'Add "selector.matchLabels" for the workloads that have the ports.',
      );
    return { meta, selector, mode: modeOf(spec.mtls), portModes };
  },
});
