/** A Consul that refuses by default, and tokens with exactly the rules that a test names. */
import type { TestContext } from 'node:test';
import { type ConsulClient, createConsulClient } from '../../src/consul/client.ts';
import { startConsul, type TestConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';

const MANAGEMENT = '11111111-2222-3333-4444-555555555555';

export interface AclConsul {
  readonly consul: TestConsul;
  /** A new token with one policy of these rules (HCL). */
  token(rules: string): Promise<string>;
  /** Takes all rights from a token. */
  revoke(token: string): Promise<void>;
  /** A client with this token; it ends with the test. */
  client(token: string | undefined): ConsulClient;
  /** One request with all rights. */
  put(path: string, body: unknown): Promise<unknown>;
}

/** Starts a Consul with `default_policy = "deny"`; its own agent may do what docs/consul.md says and nothing else. */
export async function startAclConsul(t: TestContext): Promise<AclConsul> {
  const consul = await startConsul(t, {
    acl: { enabled: true, default_policy: 'deny', tokens: { master: MANAGEMENT } },
  });
  async function put(path: string, body: unknown): Promise<unknown> {
    const response = await fetch(consul.address + path, {
      method: 'PUT',
      headers: { 'X-Consul-Token': MANAGEMENT },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  }
  let policies = 0;
  async function token(rules: string): Promise<string> {
    policies += 1;
    const policy = (await put('/v1/acl/policy', { Name: `policy-${policies}`, Rules: rules })) as { ID: string };
    const made = (await put('/v1/acl/token', { Policies: [{ ID: policy.ID }] })) as { SecretID: string };
    return made.SecretID;
  }
  await eventually('ACLs are on', async () => put('/v1/acl/token', { Description: 'probe' }));
  const own = await token('node "server" { policy = "write" } service_prefix "" { policy = "read" }');
  await put('/v1/agent/token/agent', { Token: own });
  return {
    consul,
    token,
    put,
    async revoke(secret) {
      const self = (await (
        await fetch(`${consul.address}/v1/acl/token/self`, { headers: { 'X-Consul-Token': secret } })
      ).json()) as { AccessorID: string };
      await put(`/v1/acl/token/${self.AccessorID}`, { AccessorID: self.AccessorID, SecretID: secret, Policies: [] });
    },
    client(secret) {
      const client = createConsulClient({ address: consul.address, token: () => Promise.resolve(secret) });
      t.after(() => client.close());
      return client;
    },
  };
}
