/** ProxyConfig. https://istio.io/latest/docs/reference/config/networking/proxy-config/ */
import * as z from 'zod/mini';
import type { ProxyConfig } from '../../model/proxy-config.ts';
import { int, labels, unread } from '../field-types.ts';
import { ignored } from '../unsupported-fields.ts';
import { defineKind } from './kind.ts';

const schema = z.strictObject({
  selector: z.optional(z.strictObject({ matchLabels: z.optional(labels) })),
  concurrency: z.optional(int(0, 1024)),
  environmentVariables: unread,
  image: unread,
});

export const proxyConfigKind = defineKind({
  kind: 'ProxyConfig',
  apiVersions: ['networking.istio.io/v1beta1'],
  schema,
  unsupported: [
    ignored('image', 'Remove it: Envoy comes with the package, and no image is pulled.'),
    ignored(
      'environmentVariables',
      'Set them in the unit of Envoy, by "systemctl edit trysail-envoy": its environment is settled when it starts.',
    ),
  ],
  build(meta, spec): ProxyConfig {
    const matchLabels = spec.selector?.matchLabels ?? {};
    return {
      meta,
      selector: Object.keys(matchLabels).length === 0 ? undefined : matchLabels,
      concurrency: spec.concurrency,
    };
  },
});
