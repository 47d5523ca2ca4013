/** Answers that a route gives itself: redirects and direct responses. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  RedirectAction_RedirectResponseCode as Code,
  type DirectResponseActionSchema,
  type RedirectActionSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import type { DirectResponse, Redirect } from '../../model/virtual-service.ts';

const CODES = {
  301: Code.MOVED_PERMANENTLY,
  302: Code.FOUND,
  303: Code.SEE_OTHER,
  307: Code.TEMPORARY_REDIRECT,
  308: Code.PERMANENT_REDIRECT,
} as const;

/** The port to name in the location; 0 leaves it to Envoy, which takes the scheme's own. */
function redirectPort({ port, scheme }: Redirect, calledPort: number, isTls: boolean): number {
  if (port === undefined || port === 'FROM_PROTOCOL_DEFAULT') return 0;
  const number = port === 'FROM_REQUEST_PORT' ? calledPort : port;
  // Clients compare locations as text: a default port is not written.
  return number === ((scheme ?? (isTls ? 'https' : 'http')) === 'https' ? 443 : 80) ? 0 : number;
}

/**
 * @param calledPort the port that the request came to, as its caller knows it
 * @param isTls whether requests come over TLS there
 */
export function redirectAction(
  redirect: Redirect,
  calledPort: number,
  isTls: boolean,
): MessageInitShape<typeof RedirectActionSchema> {
  const { uri, prefixRewrite, authority, scheme, code } = redirect;
  return {
    ...(authority !== undefined && { hostRedirect: authority }),
    ...(scheme !== undefined && { schemeRewriteSpecifier: { case: 'schemeRedirect', value: scheme } }),
    ...(uri !== undefined && { pathRewriteSpecifier: { case: 'pathRedirect', value: uri } }),
    ...(prefixRewrite !== undefined && { pathRewriteSpecifier: { case: 'prefixRewrite', value: prefixRewrite } }),
    portRedirect: redirectPort(redirect, calledPort, isTls),
    responseCode: CODES[code],
  };
}

export function directResponseAction({
  status,
  body,
}: DirectResponse): MessageInitShape<typeof DirectResponseActionSchema> {
  if (body === undefined) return { status };
  return {
    status,
    body: {
      specifier:
        body.kind === 'text' ? { case: 'inlineString', value: body.text } : { case: 'inlineBytes', value: body.bytes },
    },
  };
}
