/** The bookshop's page as HTML: one book, its reviews, and who served which part of it. */
import type { Answerer } from './service.ts';

export interface Product extends Answerer {
  readonly details: Answerer & {
    readonly title: string;
    readonly author: string;
    readonly year: number;
    readonly pages: number;
    readonly publisher: string;
    readonly language: string;
  };
  readonly reviews: Answerer & {
    readonly reviews: readonly { readonly reviewer: string; readonly text: string }[];
    /** Of the stars; undefined for reviews v1, which shows none. */
    readonly colour?: 'black' | 'red';
    readonly ratings?: Answerer & { readonly stars: Readonly<Record<string, number>> };
  };
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escape = (text: string): string => text.replaceAll(/[&<>"]/g, (c) => ESCAPES[c] ?? c);

/** `user` is who is signed in, sent on to the services as `end-user`. */
export function renderPage(product: Product, user: string | undefined): string {
  const { details, reviews } = product;
  const facts = { Author: details.author, Year: details.year, Pages: details.pages, Publisher: details.publisher };
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(details.title)}</title>
<style>
  body { font: 16px/1.55 Georgia, serif; color: #1c2733; background: #f4f1ea; margin: 0 }
  main { max-width: 44rem; margin: 0 auto; padding: 2rem 1.25rem }
  header { background: #17324d; color: #f4f1ea } header div { max-width: 44rem; margin: 0 auto; padding: .8rem 1.25rem; display: flex; justify-content: space-between }
  header a { color: #ffd28a } h1 { font-size: 2rem; line-height: 1.2; margin: .5rem 0 1rem }
  dl { display: grid; grid-template-columns: 7rem 1fr; gap: .2rem 1rem; margin: 0 } dt { color: #6b7680 } dd { margin: 0 }
  section { background: #fff; border-radius: 8px; padding: 1.1rem 1.4rem; margin: 1.2rem 0; box-shadow: 0 1px 3px #0002 }
  blockquote { margin: .8rem 0; padding: 0 0 0 1rem; border-left: 3px solid #c9bfa8 } cite { color: #6b7680 }
  .black { color: #1c2733 } .red { color: #c0271b } .stars { letter-spacing: .1em }
  footer, code { font: 13px/1.6 ui-monospace, monospace } footer { color: #55606a } table { border-spacing: 1rem 0; margin-left: -1rem }
</style></head><body>
<header><div><b>Bookshop on Trysail</b><span>${user === undefined ? '<a href="/?user=jason">sign in as jason</a>' : `${escape(user)} · <a href="/">sign out</a>`}</span></div></header>
<main>
<h1>${escape(details.title)}</h1>
<section><dl>${Object.entries(facts)
    .map(([name, value]) => `<dt>${name}</dt><dd>${escape(String(value))}</dd>`)
    .join('')}</dl></section>
<section>${reviews.reviews.map((review) => renderReview(review, reviews)).join('\n')}</section>
<footer><table>${[product, reviews, reviews.ratings, details]
    .filter((part) => part !== undefined)
    .map(
      (part) =>
        `<tr><td>${escape(part.service)} ${escape(part.version)}</td><td>by ${escape(part.instance)}</td><td>caller ${escape(part.caller ?? 'outside of the mesh')}</td></tr>`,
    )
    .join('')}</table></footer>
</main></body></html>
`;
}

function renderReview({ reviewer, text }: { reviewer: string; text: string }, from: Product['reviews']): string {
  const stars = from.ratings?.stars[reviewer];
  const shown =
    stars === undefined
      ? ''
      : `<div class="stars ${from.colour ?? 'black'}">${'★'.repeat(stars)}${'☆'.repeat(5 - stars)}</div>`;
  return `<blockquote>${shown}${escape(text)}<br><cite>${escape(reviewer)}</cite></blockquote>`;
}
