/** What of a repository is passed over, as it is no resource of the mesh: collected while files are read, told once. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { sortOf } from './foreign-documents.ts';
import { noResources } from './resource-files.ts';

/** The code of all that is told of it: it never makes a check fail. */
const PASSED_OVER = 'TRY0009';

/** Kinds, files and charts of which a message names so many. */
const MOST_NAMED = 8;

/** Where a document stands. */
export interface PlaceOfDocument {
  readonly file: string;
  /** The file itself is named, not a folder that holds it: all in it is meant. */
  readonly named?: true | undefined;
}

export interface PassedOver {
  /** Whether a document, or element of a `List`, is to be passed over; counts it. */
  readonly skip: (value: unknown, place: PlaceOfDocument) => boolean;
  /** Whether there was no document that was not passed over. */
  readonly isEverything: () => boolean;
  /** What was passed over, of severity `info`; empty for nothing. */
  readonly diagnostics: () => readonly Diagnostic[];
}

function listed(names: readonly string[], noun: string): string {
  const rest = names.length - MOST_NAMED;
  const shown = names.slice(0, MOST_NAMED).join(', ');
  return rest > 0 ? `${shown} and ${rest} more ${noun}${rest === 1 ? '' : 's'}` : shown;
}

function note(message: string, remedy?: string): Diagnostic {
  return { code: PASSED_OVER, severity: 'info', message, ...(remedy !== undefined && { remedy }) };
}

const TWINS_REMEDY: Readonly<Record<string, string>> = {
  Service: 'a Service of Kubernetes by a Service of trysail.dev/v1 or a ServiceEntry',
  Gateway: 'a Gateway of the Gateway API by one of networking.istio.io/v1',
};

function kindsNote(kinds: ReadonlyMap<string, number>): Diagnostic {
  const most = [...kinds].toSorted(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const total = most.reduce((sum, [, n]) => sum + n, 0);
  const names = most.map(([kind, n]) => `${kind} (${n})`);
  const twins = Object.entries(TWINS_REMEDY).flatMap(([kind, words]) => (kinds.has(kind) ? [words] : []));
  return note(
    `${total === 1 ? '1 document is' : `${total} documents are`} passed over, of kinds of Kubernetes or other programs: ${listed(names, 'kind')}`,
    twins.length === 0 ? undefined : `If the mesh needs what it says, describe ${twins.join(', and ')}.`,
  );
}

/** @param charts folders of Helm charts whose templates are not read */
export function collectPassedOver(charts: readonly string[] = []): PassedOver {
  const kinds = new Map<string, number>();
  const others = new Set<string>();
  let seen = 0;
  let skipped = 0;
  return {
    skip(value, { file, named }) {
      seen += 1;
      const sort = sortOf(value);
      if (sort === 'resource' || (sort === 'other' && named === true)) return false;
      skipped += 1;
      if (sort === 'other') others.add(file);
      else {
        const { kind } = value as { readonly kind: string };
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
      return true;
    },
    isEverything: () => skipped === seen,
    diagnostics: () => [
      ...(kinds.size === 0 ? [] : [kindsNote(kinds)]),
      ...(others.size === 0
        ? []
        : [note(`documents that are no resources are passed over, in: ${listed([...others].toSorted(), 'file')}`)]),
      ...(charts.length === 0
        ? []
        : [
            note(
              `templates of Helm charts are passed over: ${listed(charts.toSorted(), 'chart')}`,
              `Fill them in and read the result: helm template ${charts.toSorted()[0] ?? ''} | trysail analyze -f -`,
            ),
          ]),
    ],
  };
}

/**
 * That nothing is wrong is no answer where nothing was there to look at.
 * @param paths in which there were only documents that were passed over
 * @throws TrysailError `RESOURCES_UNREADABLE`
 */
export function refuseNothing(
  paths: readonly string[],
  passedOver: PassedOver,
  faults: { readonly diagnostics: readonly Diagnostic[] } = { diagnostics: [] },
): void {
  if (!passedOver.isEverything() || faults.diagnostics.length > 0) return;
  const why = passedOver.diagnostics().map(({ message }) => message);
  throw noResources(paths, why.length === 0 ? undefined : why.join('; '));
}
