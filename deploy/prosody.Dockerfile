# A Prosody for trying Crossfade out: Debian's package, the version the tests run against. The configuration is mounted.

FROM debian:12-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends prosody lua-unbound ca-certificates \
  && rm -rf /var/lib/apt/lists/*

USER prosody
VOLUME /var/lib/prosody
EXPOSE 5222
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=6 \
  CMD ["lua5.4", "-e", "assert(require('socket').connect('127.0.0.1', 5347))"]
ENTRYPOINT ["prosody", "-F"]
