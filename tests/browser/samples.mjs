// Serves the pages that `cargo test portal` wrote (target/portal-samples) with the portal's own policy and files.
import { createServer } from "node:http";
import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const kinds = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript", svg: "image/svg+xml", woff2: "font/woff2" };

export const policy = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
  "font-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
].join("; ");

export async function names(language) {
  const files = await readdir(`${root}target/portal-samples/${language}`);
  return files.filter((name) => name.endsWith(".html")).map((name) => name.slice(0, -5)).sort();
}

export async function serve() {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const asset = path.match(/^\/static\/[0-9a-f]+\/([a-z0-9.]+)$/);
    const page = path.match(/^\/(en|zh-Hans)\/([a-z0-9-]+)$/);
    const file = asset ? `static/${asset[1]}` : page ? `target/portal-samples/${page[1]}/${page[2]}.html` : null;
    try {
      if (!file) throw new Error("no such page");
      const body = await readFile(root + file);
      response.writeHead(200, { "content-type": kinds[file.split(".").pop()], "content-security-policy": policy });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
