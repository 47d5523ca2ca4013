/** Bookshop: the page that people see. Calls details and reviews; fails as a whole when one of them does. */
import type { IncomingMessage } from 'node:http';
import { callService } from './call.ts';
import { type Product, renderPage } from './page.ts';
import { answererOf, readOptions, sendJson, serve } from './service.ts';

const options = readOptions();
const API_PATH = /^\/api\/v1\/products\/(?<id>[0-9]{1,6})$/;

async function product(id: string, incoming: IncomingMessage, endUser: string | undefined): Promise<Product> {
  const headers = { ...incoming.headers, ...(endUser === undefined ? {} : { 'end-user': endUser }) };
  const [details, reviews] = await Promise.all([
    callService('details', options.upstreams.get('details'), `/details/${id}`, headers),
    callService('reviews', options.upstreams.get('reviews'), `/reviews/${id}`, headers),
  ]);
  return { ...answererOf(options, incoming), details, reviews } as Product;
}

serve(options, async (incoming, response) => {
  const url = new URL(incoming.url ?? '/', 'http://productpage');
  try {
    const id = API_PATH.exec(url.pathname)?.groups?.['id'];
    if (id !== undefined) return sendJson(response, 200, await product(id, incoming, undefined));
    if (url.pathname !== '/') return sendJson(response, 404, { error: `productpage knows no ${url.pathname}` });
    const user = /^[a-z]{1,20}$/.exec(url.searchParams.get('user') ?? '')?.[0];
    const page = renderPage(await product('1', incoming, user), user);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
  } catch (error) {
    sendJson(response, 502, { error: (error as Error).message });
  }
});
