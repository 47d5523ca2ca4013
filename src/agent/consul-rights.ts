/**
 * Rights of an ACL token: what would be allowed, asked of Consul (`/v1/internal/acl/authorize`, which its own web page
 * uses). Nothing is written, and nothing is left behind.
 */
import { fieldsOf, jsonOf, listOf, textOf } from '../consul/answer.ts';
import type { Transport } from '../consul/transport.ts';

const TIMEOUT_MS = 4000;

export interface Right {
  readonly resource: 'service' | 'node' | 'agent' | 'key' | 'acl' | 'operator';
  /** Empty: of everything. */
  readonly segment: string;
  readonly access: 'read' | 'write';
}

/** As a rule of Consul's: `service "reviews" { policy = "write" }`. */
export function ruleOf({ resource, segment, access }: Right): string {
  if (resource === 'acl' || resource === 'operator') return `${resource} = "${access}"`;
  return segment === ''
    ? `${resource}_prefix "" { policy = "${access}" }`
    : `${resource} "${segment}" { policy = "${access}" }`;
}

/**
 * Asks Consul which of the rights it would grant; `off`: it has no ACLs, `unknown`: it does not tell.
 * @throws TrysailError `CONSUL_…` when it does not answer
 */
export async function grantedRights(
  transport: Transport,
  address: string,
  rights: readonly Right[],
  signal: AbortSignal,
): Promise<ReadonlySet<Right> | 'off' | 'unknown' | 'unknown token'> {
  const path = '/v1/internal/acl/authorize';
  const body = JSON.stringify(
    rights.map(({ resource, segment, access }) => ({ Resource: resource, Segment: segment, Access: access })),
  );
  const reply = await transport.send({
    method: 'POST',
    path,
    body,
    timeoutMs: TIMEOUT_MS,
    signal,
    accept: [400, 401, 403, 404, 405],
  });
  if (reply.status === 401 && /disabled/i.test(reply.body.toString())) return 'off';
  if (reply.status === 403) return 'unknown token';
  if (reply.status !== 200) return 'unknown';
  const asked = { address, what: `POST ${path}` };
  const answers = listOf(jsonOf(reply, asked), asked).map(fieldsOf);
  // Held together by what they say and not by their order.
  return new Set(
    rights.filter(({ resource, segment, access }) =>
      answers.some(
        (answer) =>
          answer['Resource'] === resource &&
          textOf(answer['Segment']) === segment &&
          answer['Access'] === access &&
          answer['Allow'] === true,
      ),
    ),
  );
}
