/** Header operations of routes and destinations. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOptionSchema,
} from '../gen/envoy/config/core/v3/base_pb.ts';
import type { HeaderChanges, HeaderOperations } from '../model/virtual-service.ts';

type HeaderOption = MessageInitShape<typeof HeaderValueOptionSchema>;

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

function changed({ set, add }: HeaderChanges): HeaderOption[] {
  return [...options(set, OVERWRITE_IF_EXISTS_OR_ADD), ...options(add, APPEND_IF_EXISTS_OR_ADD)];
}

export function headerMutations({ request, response }: HeaderOperations): HeaderMutations {
  return {
    ...(request !== undefined && {
      requestHeadersToAdd: changed(request),
      requestHeadersToRemove: request.remove.filter(isOrdinary),
    }),
    ...(response !== undefined && {
      responseHeadersToAdd: changed(response),
      responseHeadersToRemove: response.remove.filter(isOrdinary),
    }),
  };
}

/** The host that header operations give to a request; undefined: they leave it. */
export function hostOf(operations: HeaderOperations | undefined): string | undefined {
  const { set = {}, add = {} } = operations?.request ?? {};
  return [...Object.entries(set), ...Object.entries(add)].find(([name]) =>
    ['host', ':authority'].includes(name.toLowerCase()),
  )?.[1];
}
