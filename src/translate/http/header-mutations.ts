/** Header operations of routes and destinations. */
import {
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOptionSchema,
} from '../../gen/envoy/config/core/v3/base_pb.ts';
import type { HeaderChanges, HeaderOperations } from '../../model/virtual-service.ts';
import type { Fields } from '../messages.ts';

type HeaderOption = Fields<typeof HeaderValueOptionSchema>;

/** As routes and clusters of a weighted route have them. What is removed is removed before anything is set. */
export interface HeaderMutations {
  readonly requestHeadersToAdd?: HeaderOption[];
  readonly requestHeadersToRemove?: string[];
  readonly responseHeadersToAdd?: HeaderOption[];
  readonly responseHeadersToRemove?: string[];
}

const { OVERWRITE_IF_EXISTS_OR_ADD, APPEND_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;

/** Envoy refuses changes of pseudo headers and of the host; the latter is a rewrite of the route. */
function isOrdinary(name: string): boolean {
  return !name.startsWith(':') && name.toLowerCase() !== 'host';
}

function options(
  headers: Readonly<Record<string, string>>,
  appendAction: HeaderValueOption_HeaderAppendAction,
): readonly HeaderOption[] {
  return Object.entries(headers)
    .filter(([name]) => isOrdinary(name))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ header: { key, value }, appendAction }));
}

/** One side's changes, one after the other: what a later one removes, an earlier one has not set. */
function inTurn(changes: readonly HeaderChanges[]): { readonly add: HeaderOption[]; readonly remove: string[] } {
  let add: readonly HeaderOption[] = [];
  const remove = new Set<string>();
  for (const { set, add: appended, remove: gone } of changes) {
    const names = new Set(gone.map((name) => name.toLowerCase()));
    add = [
      ...add.filter(({ header }) => !names.has(header?.key?.toLowerCase() ?? '')),
      ...options(set, OVERWRITE_IF_EXISTS_OR_ADD),
      ...options(appended, APPEND_IF_EXISTS_OR_ADD),
    ];
    for (const name of gone.filter(isOrdinary)) remove.add(name);
  }
  return { add: [...add], remove: [...remove] };
}

/** Several operations as one, in their order: those of a route, then those of its destination. */
export function headerMutations(operations: readonly (HeaderOperations | undefined)[]): HeaderMutations {
  const request = inTurn(operations.flatMap((one) => one?.request ?? []));
  const response = inTurn(operations.flatMap((one) => one?.response ?? []));
  return {
    ...(request.add.length > 0 && { requestHeadersToAdd: request.add }),
    ...(request.remove.length > 0 && { requestHeadersToRemove: request.remove }),
    ...(response.add.length > 0 && { responseHeadersToAdd: response.add }),
    ...(response.remove.length > 0 && { responseHeadersToRemove: response.remove }),
  };
}

/** The host that header operations give to a request; undefined: they leave it. */
export function hostOf(operations: HeaderOperations | undefined): string | undefined {
  const { set = {}, add = {} } = operations?.request ?? {};
  return [...Object.entries(set), ...Object.entries(add)].find(([name]) =>
    ['host', ':authority'].includes(name.toLowerCase()),
  )?.[1];
}
