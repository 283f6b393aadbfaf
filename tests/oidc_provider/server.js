// oidc-provider on loopback, with an API that takes its tokens.
//
//   node server.js '{"clients":[{"client_id":"a","client_secret":"b"}],"lifetime":2}'
//
// Prints one line of JSON when it listens: its issuer, and the private keys that it made for clients with a `key`.
// Ends with its standard input, so that whoever started it never leaves it behind. All state is in this process.

import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';

process.stdin.on('end', () => process.exit()).on('error', () => process.exit()).resume();

// Newer than node 20, and all that oidc-provider misses there.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

// It says on every start that it is not meant for production set up like this. No more is it.
for (const level of ['info', 'warn']) {
  const print = console[level].bind(console);
  console[level] = (text, ...rest) => String(text).startsWith('oidc-provider ') || print(text, ...rest);
}
const modules = process.env.OIDC_PROVIDER_NODE_MODULES;
const { Provider } = await import(modules ? `${modules}/oidc-provider/lib/index.js` : 'oidc-provider');

const config = {
  clients: [],
  lifetime: 3600, // of access tokens, in seconds
  path: '', // of the issuer, such as /tenant
  tls: undefined, // { key, cert, ca }, DER in base64: https, and client certificates
  auth_methods: [
    'client_secret_basic',
    'client_secret_post',
    'client_secret_jwt',
    'private_key_jwt',
    'tls_client_auth',
    'self_signed_tls_client_auth',
    'none',
  ],
  ...JSON.parse(process.argv[2] ?? '{}'),
};

// What came to the token endpoint, in the order in which it was answered, and to the API.
const stats = { token_requests: [], largest_concurrency: 0, api: { ok: 0, refused: 0 } };
// What happens to the next answers of the token endpoint, after the request was processed.
const answers = { latency_ms: 0, lose: 0 };
let underWay = 0;

const tables = new Map();
const keys = {};

// === the store ===

/// As oidc-provider's own in memory, but it does not forget what is old while it is valid, and can be emptied.
class Store {
  constructor(model) {
    if (!tables.has(model)) tables.set(model, new Map());
    this.table = tables.get(model);
  }

  async upsert(id, payload, expiresIn) {
    this.table.set(id, { payload, expiresAt: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }

  async find(id) {
    const row = this.table.get(id);
    return row && row.expiresAt > Date.now() ? row.payload : undefined;
  }

  async consume(id) {
    this.table.get(id).payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.table.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [id, { payload }] of this.table) if (payload.grantId === grantId) this.table.delete(id);
  }
}

// === clients ===

function client({ key, certificate, ...given }) {
  const metadata = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], ...given };
  if (metadata.grant_types.includes('refresh_token')) {
    // It can be had only together with the code that one comes from.
    metadata.grant_types = [...metadata.grant_types, 'authorization_code'];
    Object.assign(metadata, { redirect_uris: ['https://client.example.com/callback'], response_types: ['code'] });
  }
  if (key) metadata.jwks = { keys: [makeKey(given.client_id, key)] };
  if (certificate) {
    const parsed = x509(certificate);
    const x5c = [parsed.raw.toString('base64')];
    metadata.jwks = { keys: [{ ...parsed.publicKey.export({ format: 'jwk' }), use: 'sig', x5c }] };
  }
  return metadata;
}

function tlsOptions({ key, cert, ca }) {
  const made = createPrivateKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'pkcs8' });
  return { key: made.export({ type: 'pkcs8', format: 'pem' }), cert: x509(cert).toString(), ca: x509(ca).toString() };
}

function x509(base64) {
  return new X509Certificate(Buffer.from(base64, 'base64'));
}

/// A new key pair: the private half goes to whoever started us, the public one is returned.
function makeKey(clientId, alg) {
  const { privateKey, publicKey } = generate(alg);
  const kid = `key of ${clientId}`;
  keys[clientId] = {
    alg,
    kid,
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    jwk: { ...privateKey.export({ format: 'jwk' }), kid, alg },
  };
  return { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

function generate(alg) {
  if (/^[RP]S/.test(alg)) return generateKeyPairSync('rsa', { modulusLength: 2048 });
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384' }[alg] });
}

// === the provider ===

function start(issuer) {
  const signatures = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'HS256', 'HS384', 'HS512'];
  const scope = 'api:read api:write';
  const provider = new Provider(issuer, {
    adapter: Store,
    clients: config.clients.map(client),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: config.auth_methods,
    cookies: { keys: ['not used'] },
    enabledJWA: { clientAuthSigningAlgValues: signatures },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns'
          && ctx.socket.getPeerX509Certificate().checkHost(expected) !== undefined,
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, audience) => ({ scope, audience, accessTokenTTL: config.lifetime }),
      },
    },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    jwks: { keys: [generate('ES256').privateKey.export({ format: 'jwk' })] },
    rotateRefreshToken: true,
    scopes: ['offline_access', ...scope.split(' ')],
    ttl: { AccessToken: config.lifetime, ClientCredentials: config.lifetime, Grant: 3600, RefreshToken: 3600 },
  });

  const record = (ctx, error) => {
    stats.token_requests.push({
      client: ctx.oidc.client?.clientId ?? null,
      grant: ctx.oidc.params?.grant_type ?? null,
      // What only the server knows: the client is told the code and a general description.
      error: error ? `${error.error}: ${error.error_detail ?? error.error_description}` : null,
    });
  };
  provider.on('grant.success', (ctx) => record(ctx));
  provider.on('grant.error', record);
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider;
}

// === routes ===

/// GET /api/whoami: who the token is for, as long as it is good.
async function whoami(provider, request) {
  const [, value] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
  if (!value) return [401, {}, { 'www-authenticate': 'Bearer realm="api"' }];
  const token = (await provider.ClientCredentials.find(value)) ?? (await provider.AccessToken.find(value));
  // RFC 8705, section 3.
  const bound = token?.['x5t#S256'];
  const good = token && (!bound || bound === thumbprint(request.socket.getPeerX509Certificate()));
  stats.api[good ? 'ok' : 'refused'] += 1;
  if (!good) return [401, {}, { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' }];
  return [200, { client: token.clientId, account: token.accountId, scope: token.scope, audience: token.aud }];
}

function thumbprint(certificate) {
  return certificate && createHash('sha256').update(certificate.raw).digest('base64url');
}

const admin = {
  'GET /admin/stats': async () => [200, stats],

  /// What a user's consent would have led to.
  'POST /admin/refresh-token': async (provider, { client_id }) => {
    const accountId = 'somebody';
    const scope = 'offline_access api:read';
    const grant = new provider.Grant({ accountId, clientId: client_id });
    grant.addOIDCScope(scope);
    const grantId = await grant.save();
    const details = { accountId, grantId, scope, gty: 'authorization_code', rotations: 0 };
    const token = new provider.RefreshToken({ ...details, client: await provider.Client.find(client_id) });
    return [200, { refresh_token: await token.save() }];
  },

  /// Every access token; refresh tokens and what they were granted for stay.
  'POST /admin/revoke-all': async () => {
    for (const model of ['AccessToken', 'ClientCredentials']) tables.get(model)?.clear();
    return [200, {}];
  },

  'POST /admin/answers': async (_provider, change) => [200, Object.assign(answers, change)],
};

/// Counts a token request, and delays or loses its answer when it has been processed.
function watch(request, response) {
  underWay += 1;
  stats.largest_concurrency = Math.max(stats.largest_concurrency, underWay);
  response.once('close', () => {
    underWay -= 1;
  });
  const end = response.end.bind(response);
  response.end = (...body) => {
    if (answers.lose > 0) {
      answers.lose -= 1;
      request.socket.destroy();
    } else if (answers.latency_ms > 0) {
      setTimeout(end, answers.latency_ms, ...body);
    } else {
      end(...body);
    }
    return response;
  };
}

async function json(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString() || '{}');
}

function main() {
  const scheme = config.tls ? 'https' : 'http';
  const server = config.tls
    ? createHttpsServer({ ...tlsOptions(config.tls), requestCert: true, rejectUnauthorized: false })
    : createHttpServer();
  server.listen(0, '127.0.0.1', () => {
    const origin = `${scheme}://127.0.0.1:${server.address().port}`;
    const issuer = origin + config.path;
    const provider = start(issuer);
    const callback = provider.callback();
    server.on('request', async (request, response) => {
      const route = `${request.method} ${request.url}`;
      const ours = route === 'GET /api/whoami' ? () => whoami(provider, request) : admin[route];
      if (ours) {
        const [status, body, headers] = await ours(provider, ours === admin[route] && (await json(request)));
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
        return;
      }
      if (request.url.startsWith(`${config.path}/`)) {
        // As a framework does that mounts it: the original stays known to those who make URLs.
        request.originalUrl = request.url;
        request.url = request.url.slice(config.path.length);
      }
      if (route === `POST ${config.path}/token`) watch(request, response);
      callback(request, response);
    });
    console.log(JSON.stringify({ origin, issuer, token_url: `${issuer}/token`, keys }));
  });
}

main();
