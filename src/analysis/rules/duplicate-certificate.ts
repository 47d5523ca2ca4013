/** IST0138: two Gateways for the same hosts' ports present the same certificate; HTTP/2 clients then mix their connections. */
import { describeObject } from '../../model/resource-meta.ts';
import { type AnalysisRule, finding, labelKey } from '../analysis-rule.ts';

export const duplicateCertificate: AnalysisRule = {
  codes: ['IST0138'],
  check({ mesh }) {
    const owners = new Map<string, string>();
    return mesh.gateways.flatMap(({ meta, selector, servers }) => {
      const self = describeObject(meta);
      return servers.flatMap(({ tls }, i) => {
        const names = [
          ...(tls?.credentialNames ?? []),
          ...(tls?.certificates ?? []).map((one) => one.serverCertificate),
        ];
        return names.flatMap((name) => {
          const key = `${labelKey(selector)} ${name}`;
          const owner = owners.get(key);
          owners.set(key, owner ?? self);
          if (owner === undefined || owner === self) return [];
          const message = `${owner} presents the certificate ${name} on the same hosts: a client that reuses its HTTP/2 connection for the other name gets 404`;
          return [
            finding(
              'IST0138',
              'warning',
              meta,
              `spec.servers[${i}].tls`,
              message,
              'Join the two Gateways, or give each a certificate of its own.',
            ),
          ];
        });
      });
    });
  },
};
