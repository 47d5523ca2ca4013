/** A gateway: real Envoy over xDS, from Istio's YAML and a folder of credentials that the agent's own reader follows. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { CredentialFiles } from '../../src/agent/credential-files.ts';
import { createLog } from '../../src/lib/log.ts';
import type { Diagnostic } from '../../src/model/diagnostic.ts';
import type { GatewayRole, Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import { type Resource, TYPE_URL } from '../../src/xds/resource.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Agentlet, startAgentlet } from '../translate/agentlet.ts';
import type { KeyPairPem, TestAuthority } from '../translate/certificates.ts';
import { host, spiffe } from '../translate/mesh-literals.ts';

/** The mesh that some YAML makes; throws what is wrong with it. */
export function meshOf(yaml: string, config: MeshConfig = DEFAULT_MESH_CONFIG): Mesh {
  const resources = parseResources([{ file: 'in.yaml', text: yaml }]);
  const mesh = buildMesh(undefined, {
    config,
    resources,
    catalogue: undefined,
    localServices: [],
  });
  if (mesh.diagnostics.length > 0) throw new Error(JSON.stringify(mesh.diagnostics, undefined, 1));
  return mesh;
}

/** The role `default/ingress` on loopback, with the label `istio: ingressgateway`. */
export function ingressRole(rest: Partial<GatewayRole> = {}): GatewayRole {
  return {
    namespace: 'default',
    name: 'ingress',
    serviceHost: 'ingress.default.mesh',
    labels: { istio: 'ingressgateway' },
    identity: spiffe('ingress'),
    address: '127.0.0.1',
    ...rest,
  };
}

export interface GatewayHost {
  readonly envoy: Agentlet;
  readonly credentials: CredentialFiles;
  /** Writes a credential: `tls.crt` and `tls.key`, and `ca.crt` where roots are given. */
  put(name: string, pair: KeyPairPem, rootsPem?: string): Promise<void>;
  /** A file in the folder of a credential. */
  write(name: string, file: string, text: string): Promise<void>;
  problems(): readonly Diagnostic[];
  /** Gives Envoy what other YAML makes. */
  serve(yaml: string): void;
}

export interface GatewayHostOptions {
  readonly yaml: string;
  readonly authority: TestAuthority;
  readonly roles?: readonly GatewayRole[];
  readonly host?: Partial<Host>;
  readonly config?: MeshConfig;
  /** Writes what is there from the beginning. */
  readonly before?: (put: GatewayHost['put']) => Promise<void>;
}

export async function startGateway(t: TestContext, options: GatewayHostOptions): Promise<GatewayHost> {
  const { yaml, authority, roles = [ingressRole()], before } = options;
  const folder = await tempDir(t);
  let mesh = meshOf(yaml, options.config);
  const self = host({ nodeId: 'gateway', gateways: roles, credentialsFolder: folder, ...options.host });
  const identities = [
    ...roles.map(({ identity }) => identity),
    self.callerIdentity,
    ...self.workloads.map((one) => one.identity),
  ];
  const secrets = await authority.secrets(...new Set(identities.filter((id) => id !== undefined)));
  const write: GatewayHost['write'] = async (name, file, text) => {
    await mkdir(join(folder, name), { recursive: true });
    await writeFile(join(folder, name, file), text, { mode: 0o600 });
  };
  const put: GatewayHost['put'] = async (name, pair, rootsPem) => {
    await write(name, 'tls.crt', pair.certificateChainPem);
    await write(name, 'tls.key', pair.privateKeyPem);
    if (rootsPem !== undefined) await write(name, 'ca.crt', rootsPem);
  };
  await before?.(put);
  const envoy = await startAgentlet(t, self);
  const serve = (read: ReadonlyMap<string, Resource>): void =>
    envoy.serve(mesh, [...secrets, ...read.values()], self, { ownFiles: false });
  const credentials = new CredentialFiles({ folder, log: createLog('error'), onChange: serve, pollMs: 50 });
  t.after(() => credentials.stop());
  // What a first translation names is what the agent follows.
  const translated = new Translator().translate(mesh, self);
  credentials.follow([...(translated.get(TYPE_URL.secret) ?? new Map<string, Resource>()).keys()]);
  await credentials.settled();
  serve(credentials.secrets);
  return {
    envoy,
    credentials,
    put,
    write,
    problems: () => credentials.diagnostics,
    serve: (next) => {
      mesh = meshOf(next, options.config);
      serve(credentials.secrets);
    },
  };
}
