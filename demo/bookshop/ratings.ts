/** Bookshop: how many stars each reviewer gave. Calls nobody. */
import { answererOf, productIdOf, readOptions, sendJson, serve } from './service.ts';

const options = readOptions();

serve(options, (incoming, response) => {
  const id = productIdOf(incoming, 'ratings');
  if (id === undefined) return sendJson(response, 404, { error: `ratings knows no ${incoming.url}` });
  sendJson(response, 200, { ...answererOf(options, incoming), id, stars: { Ada: 5, Björn: 4 } });
});
