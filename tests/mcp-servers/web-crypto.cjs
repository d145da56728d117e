// Debian 12 has Node 18, in which the servers of the SDK over HTTP lack this global; loaded with `node --require`.
globalThis.crypto ??= require("node:crypto").webcrypto;
