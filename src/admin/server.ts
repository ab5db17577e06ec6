// The admin side's HTTP server (adapter on fastify): checks Host and token, serves the routes, answers errors as problems.

import { Ajv } from 'ajv';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Log } from '../log.ts';
import { isRefusal } from '../refusal.ts';
import { type ApiParts, apiRoutes } from './api.ts';
import { inUrl, makeBearerCheck, makeHostCheck } from './auth.ts';
import { faultProblem, type Problem, problem, problemType, refusalProblem } from './problem.ts';
import type { Asked, Route } from './route.ts';

export interface AdminParts extends ApiParts {
  token: string;
  /** Port 0: the system chooses one. */
  listen: { host: string; port: number };
  log: Log;
}

export interface Admin {
  readonly url: string;
  /** Requests under way have two seconds to end. */
  close(): Promise<void>;
}

const bodyLimit = 64 * 1024;
const requestTimeoutMs = 30_000;
const closeWithinMs = 2_000;
/** A bare JID has up to 2047 bytes, each of which may be percent-encoded. */
const maxParamLength = 6_500;

/** Rejects with a text for the operator when it cannot listen. */
export async function startAdmin(parts: AdminParts): Promise<Admin> {
  const { host, port } = parts.listen;
  const app = fastify({
    logger: false,
    bodyLimit,
    requestTimeout: requestTimeoutMs,
    routerOptions: { maxParamLength },
    frameworkErrors: (error, _request, reply) => void send(reply, faultProblem(error)),
  });
  app.removeContentTypeParser('text/plain');
  validate(app);
  guard(app, parts);
  answerFaults(app, parts.log);
  for (const route of apiRoutes(parts)) serve(app, route);
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'another process has this port: is the gateway running already?' : message;
    throw new Error(`admin.listen: cannot listen on ${inUrl(host)}:${port}: ${reason}`, { cause: error });
  }
  return { url: urlOf(app, host), close: () => close(app) };
}

/** Query and path are texts, so numbers in them are read as such; a body is JSON and taken as it is. */
function validate(app: FastifyInstance): void {
  const options = { allowUnionTypes: true, useDefaults: true, validateFormats: false };
  const strict = new Ajv(options);
  const reading = new Ajv({ ...options, coerceTypes: true });
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? strict : reading).compile(schema as object),
  );
}

function guard(app: FastifyInstance, { token, listen }: AdminParts): void {
  const isOurHost = makeHostCheck(listen.host);
  const isBearer = makeBearerCheck(token);
  app.addHook('onRequest', async (request, reply) => {
    if (!isOurHost(request.headers.host)) {
      return send(
        reply,
        problem(421, 'misdirected', 'the Host header names another server; use the host of admin.listen'),
      );
    }
    const { open } = request.routeOptions.config as { open?: boolean };
    if (request.is404 || open || isBearer(request.headers.authorization)) return;
    reply.header('www-authenticate', 'Bearer realm="crossfade"');
    return send(reply, problem(401, 'unauthorized', 'this needs the admin token: Authorization: Bearer …'));
  });
}

function answerFaults(app: FastifyInstance, log: Log): void {
  app.setNotFoundHandler((request, reply) => {
    return send(
      reply,
      problem(
        404,
        'not-found',
        `there is no ${request.method} ${pathOf(request)} here; /openapi.json lists what there is`,
      ),
    );
  });
  app.setErrorHandler((error, request, reply) => {
    const answer = faultProblem(error, request.routeOptions.bodyLimit);
    if (answer.status >= 500) {
      const { message, stack } = error as Error;
      log.error({ event: 'admin.fault', method: request.method, path: pathOf(request), error: message, stack });
    }
    return send(reply, answer);
  });
}

/** Without the query. */
function pathOf(request: FastifyRequest): string {
  return (request.url.split('?')[0] ?? '').slice(0, 200);
}

function serve(app: FastifyInstance, route: Route): void {
  const { method, path, open = false, params, query, body, bodyLimit, answers, handle } = route;
  const response = Object.entries(answers).flatMap(([status, { schema }]) => (schema ? [[status, schema]] : []));
  app.route({
    method,
    url: path.replace(/\{(\w+)\}/g, ':$1'),
    config: { open },
    ...(bodyLimit !== undefined && { bodyLimit }),
    schema: {
      ...(params && { params: { type: 'object', properties: params } }),
      querystring: { type: 'object', properties: query ?? {}, additionalProperties: false },
      ...(body && { body }),
      response: Object.fromEntries(response),
    },
    handler: async (request, reply) => {
      const answer = await handle({ params: request.params, query: request.query, body: request.body } as Asked);
      if (isRefusal(answer)) return send(reply, refusalProblem(answer));
      return reply
        .code(answer.status)
        .type(answer.type ?? 'application/json')
        .send(answer.body);
    },
  });
}

/** As text: a problem is not run through the schemas of the route it comes from. */
function send(reply: FastifyReply, body: Problem): FastifyReply {
  return reply.code(body.status).type(problemType).send(JSON.stringify(body));
}

/** Where it can be reached from this machine. */
function urlOf(app: FastifyInstance, host: string): string {
  const [address] = app.addresses();
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return `http://${inUrl(reachable)}:${address && typeof address === 'object' ? address.port : ''}`;
}

async function close(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), closeWithinMs);
  await app.close();
  clearTimeout(timer);
}
