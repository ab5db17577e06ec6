# The gateway as a small image: Node 24, the compiled package and its production dependencies; runs as an ordinary user.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install scripts: the only one fetches a Node 24, which this image is.
RUN npm ci --include=dev --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/mappings ./mappings
COPY --from=build /app/server-modules ./server-modules
RUN ln -s /app/dist/main.js /usr/local/bin/crossfade && mkdir /data && chown node:node /data

USER node
WORKDIR /data
VOLUME /data
EXPOSE 7400
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7400/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["crossfade"]
CMD ["run", "--config", "/etc/crossfade/crossfade.yaml"]
