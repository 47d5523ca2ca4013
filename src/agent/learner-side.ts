/** Where services are learnt that are called for the first time: the learner with those who ask it, Envoy's DNS and proxy. */
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { CalledServices } from './called-services.ts';
import { Learner } from './learner.ts';
import { LearnerDns } from './learner-dns.ts';
import { LearnerGate } from './learner-gate.ts';
import type { LearntServices } from './learnt-services.ts';
import type { MeshSide } from './mesh-side.ts';
import type { Reloading } from './reloading.ts';
import { gateSocket } from './settings-host.ts';
import type { AgentParts } from './status-report.ts';

export interface LearnerSideOptions {
  readonly parts: AgentParts;
  readonly mesh: MeshSide;
  readonly store: LearntServices;
  readonly reloading: Reloading;
  /** Whether Envoy runs as another user of this user's group. */
  readonly external: boolean;
  readonly log: Log;
}

export class LearnerSide {
  readonly #options: LearnerSideOptions;
  readonly #called: CalledServices;
  readonly #learner: Learner;
  readonly #dns: LearnerDns;
  #gate: LearnerGate | undefined;

  private constructor(options: LearnerSideOptions, called: CalledServices, learner: Learner, dns: LearnerDns) {
    this.#options = options;
    this.#called = called;
    this.#learner = learner;
    this.#dns = dns;
  }

  /** Begins to answer. Never rejects: what cannot be opened is a diagnostic, or in the log. */
  static async start(options: LearnerSideOptions): Promise<LearnerSide> {
    const { parts, mesh, store, reloading, external } = options;
    const log = options.log.child({ room: 'learner' });
    const called = new CalledServices({
      store,
      settings: () => parts.settings,
      mesh: () => mesh.loop.mesh,
      host: () => mesh.loop.host,
      call: async (services) => reloading.callByName(mesh, services),
      isAsked: () => learner.isAsked,
      stats: async (filter) => parts.envoy.admin.stats(filter),
      log,
    });
    const learner = new Learner({
      called,
      mesh: () => mesh.loop.mesh,
      host: () => mesh.loop.host,
      isServed: (serviceHost) => mesh.serves(serviceHost),
      isSettled: async () => mesh.isSettled(),
      exists: async (serviceHost, signal) => (await mesh.consul?.exists(serviceHost, signal)) ?? false,
      log,
    });
    const learn = async (name: string): ReturnType<Learner['learn']> => learner.learn(name);
    const side = new LearnerSide(options, called, learner, new LearnerDns(learn, log));
    parts.learnt = () => ({ services: called.learnt, diagnostics: side.diagnostics });
    side.#gate = await LearnerGate.open(
      gateSocket(parts.settings.paths.run),
      external ? 0o660 : undefined,
      learn,
    ).catch((error: unknown) => {
      log.error({ error: errorMessage(error) }, 'the proxy cannot learn services');
      return undefined;
    });
    side.follow();
    called.start();
    return side;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#dns.diagnostics;
  }

  /** The mesh or the host has changed. */
  follow(): void {
    this.#dns.listen(this.#options.parts.host.dns?.learner);
    this.#called.follow();
  }

  async close(): Promise<void> {
    this.#dns.close();
    this.#gate?.close();
    this.#learner.stop();
    await this.#called.close();
  }
}
