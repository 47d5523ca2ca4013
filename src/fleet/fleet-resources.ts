/** The fleet's configuration as files of resources: each resource one file that says where it comes from. */
import type { ResourceFile } from '../sources/resource-reader.ts';
import type { Held } from './accept-head.ts';
import type { Entry } from './documents.ts';

/** As diagnostics name it: `consul:shop/VirtualService/reviews@12`. */
function resourceFileName(namespace: string, { kind, name, revision }: Entry): string {
  return `consul:${namespace}/${kind}/${name}@${revision}`;
}

/** The resources of a namespace; those whose body is not there are left out. */
export function resourceFiles(
  { namespace, entries }: Pick<Held, 'namespace' | 'entries'>,
  bodyOf: (hash: string) => string | undefined,
): readonly ResourceFile[] {
  return [...entries.values()].flatMap((entry) => {
    const text = bodyOf(entry.hash);
    if (text === undefined) return [];
    const { kind, name, createdMs } = entry;
    const single = { key: `${kind}/${namespace}/${name}`, createdMs };
    return [{ file: resourceFileName(namespace, entry), text, single }];
  });
}
