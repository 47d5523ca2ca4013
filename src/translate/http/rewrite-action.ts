/** Rewrites of a request's path, as fields of a route's action. */
import type { Rewrite } from '../../model/virtual-service.ts';
import type { RouteAction } from './route-action.ts';

/** A prefix that is matched is replaced (`/` where there is no match), else the whole path; the query stays. */
export function pathRewrite(rewrite: Rewrite | undefined): Pick<RouteAction, 'prefixRewrite' | 'regexRewrite'> {
  const { uri, uriRegex } = rewrite ?? {};
  if (uriRegex !== undefined)
    return { regexRewrite: { pattern: { regex: uriRegex.match }, substitution: uriRegex.rewrite } };
  if (uri === undefined) return {};
  return { prefixRewrite: uri };
}
