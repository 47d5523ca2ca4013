/** Where a setting's value came from, and complaints that say so. */

import { formatPath, type Path, type YamlDocument } from '../lib/yaml-document.ts';
import type { Diagnostic, Severity } from '../model/diagnostic.ts';

/** The code of settings that contradict each other. */
export const RULE = 'TRY0902';

/** What a complaint says. */
export interface Complaint {
  readonly code: string;
  readonly path: Path;
  readonly message: string;
  readonly remedy: string;
  readonly severity?: Severity;
}

/** The values of one start and where each came from. */
export class SettingsPlace {
  readonly #file: string | undefined;
  readonly #document: Pick<YamlDocument, 'lineOf'> | undefined;
  /** Setting path → the flag or variable that gave it. */
  readonly #givenBy = new Map<string, string>();

  constructor(file: string | undefined, document: Pick<YamlDocument, 'lineOf'> | undefined) {
    this.#file = file;
    this.#document = document;
  }

  /** Remembers that a flag or an environment variable gave the value at `path`. */
  give(path: string, by: string): void {
    this.#givenBy.set(path, by);
  }

  /** The complaint as a diagnostic with its place. */
  diagnostic(complaint: Complaint): Diagnostic {
    return this.diagnosticAt(formatPath(complaint.path), this.#document?.lineOf(complaint.path) ?? 1, complaint);
  }

  /** As `diagnostic`, for a path and a line that are known already. */
  diagnosticAt(path: string, line: number, complaint: Omit<Complaint, 'path'>): Diagnostic {
    const by = this.#givenBy.get(path);
    return {
      code: complaint.code,
      severity: complaint.severity ?? 'error',
      path: by === undefined ? path : `${path} (${by})`,
      ...(by === undefined && this.#file !== undefined ? { source: { file: this.#file, line } } : {}),
      message: complaint.message,
      remedy: complaint.remedy,
    };
  }
}
