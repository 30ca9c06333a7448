const axios = require("axios");
const http = require("http");
const https = require("https");
const { Readable } = require("stream");

const { SENSGATE_URL: url, SENSGATE_KEY: key } = process.env;
const client = axios.create({
  baseURL: url,
  // As text, so that nothing of an answer is lost.
  responseType: "text",
  transformResponse: (text) => text,
  validateStatus: () => true,
  maxBodyLength: Infinity,
  maxRedirects: 0,
  timeout: 60_000,
  httpAgent: new http.Agent({ keepAlive: true }),
  httpsAgent: new https.Agent({ keepAlive: true }),
});

async function call(method, path, headers, data) {
  try {
    const answer = await client.request({ method, url: path, headers, data });
    return [answer.status, answer.data];
  } catch (error) {
    return [0, `${error.code ?? error.message}`];
  }
}

async function calls() {
  const form = new URLSearchParams({ login: "CLIENTREST", password: "clientrest" });
  const [status, answer] = await call("POST", "/v1/login/user", { api_key: key }, form);
  console.log(`login ${status}`);
  const headers = { api_key: key, access_token: JSON.parse(answer).access_token };
  const json = { ...headers, "Content-Type": "application/json" };
  const octets = { ...headers, "Content-Type": "application/octet-stream" };
  const pieces = Readable.from(Array(32).fill(Buffer.alloc(64 << 10, "x")));
  const steps = [
    ["query", "GET", '/v1/articles?filter={"ref":"A1|B2"}', headers],
    ["accent", "GET", '/v1/articles?filter={"label":"É"}', headers],
    ["post", "POST", "/v1/devis", json, '{"ref":"A1","label":"Écran"}'],
    ["upload", "POST", "/v1/documents", octets, pieces],
    ["head", "HEAD", "/v1/articles", headers],
    ["delete", "DELETE", "/v1/panier/1", headers],
    ["delete_chunked", "DELETE", "/v1/panier/2", headers],
    ["again", "GET", "/v1/articles", headers],
  ];
  for (const [step, ...request] of steps) {
    const [status, answer] = await call(...request);
    console.log(`${step} ${status} ${answer}`);
  }
}

async function refusals() {
  const refuse = async (step, key, length) => {
    const [status, answer] = await call("POST", "/v1/documents", { api_key: key }, Buffer.alloc(length));
    console.log(`${step} ${status} ${status ? JSON.parse(answer).code : answer}`);
  };
  for (let time = 0; time < 5; time++) await refuse("refused", "nobody's", 8_000_000);
  await refuse("too_large", key, 12_000_000);
}

({ calls, refusals })[process.argv[2]]();
