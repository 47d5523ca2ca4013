/** Listeners that can be opened now: those whose ports others have are left out, and looked at again until they are free. */
import type { ListeningPorts } from '../envoy/port-owner.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import { withFreeAddresses } from './free-addresses.ts';

/** How often a port that was in use is looked at again. */
const RETRY_MS = 5000;

export interface FreeListenersOptions {
  /** Pids of our Envoys, whose listeners are in nobody's way. */
  readonly envoyPids: () => readonly number[];
  /** Gets the host to serve, whenever it is looked at. */
  readonly use: (host: Host) => void;
}

export class FreeListeners {
  readonly #options: FreeListenersOptions;
  #diagnostics: readonly Diagnostic[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(options: FreeListenersOptions) {
    this.#options = options;
  }

  /** Which are left out, and who has their ports. */
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** Serves what of this host can be served, from now on. @param ports who listens where; looked up unless given */
  of(host: Host, ports?: ListeningPorts): void {
    clearTimeout(this.#retry);
    const usable = withFreeAddresses(host, this.#options.envoyPids(), ports);
    this.#diagnostics = usable.diagnostics;
    this.#options.use(usable.host);
    if (usable.diagnostics.length > 0) this.#retry = setTimeout(() => this.of(host), RETRY_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#retry);
  }
}
