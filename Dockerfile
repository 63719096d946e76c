# One image for every process of the Procfile.
FROM node:24-bookworm-slim
WORKDIR /perdiem
COPY package.json package-lock.json .npmrc ./
COPY prisma ./prisma
# The embedded PostgreSQL is for the sandbox alone.
RUN npm ci --omit=dev --omit=optional
COPY apps ./apps
COPY jobs ./jobs
RUN mkdir -p /var/lib/perdiem && chown node:node /var/lib/perdiem
USER node
EXPOSE 3000 3001
