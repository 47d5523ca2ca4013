/** Bookshop: what is known of a book. Calls nobody. */
import { answererOf, productIdOf, readOptions, sendJson, serve } from './service.ts';

const options = readOptions();

serve(options, (incoming, response) => {
  const id = productIdOf(incoming, 'details');
  if (id === undefined) return sendJson(response, 404, { error: `details knows no ${incoming.url}` });
  sendJson(response, 200, {
    ...answererOf(options, incoming),
    id,
    title: 'Sailing Alone Around the World',
    author: 'Joshua Slocum',
    year: 1900,
    pages: 294,
    publisher: 'The Century Company',
    language: 'English',
  });
});
