-- CreateTable
CREATE TABLE "accounts" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "external_id" TEXT,
    "currency" TEXT NOT NULL,
    "timezone" TEXT NOT NULL,
    "billing_email" TEXT,
    "po_number" TEXT,
    "company" JSONB NOT NULL DEFAULT '{}',
    "autopay" BOOLEAN NOT NULL DEFAULT true,
    "autopay_cap" BIGINT,
    "card_required" BOOLEAN NOT NULL DEFAULT true,
    "net_days" INTEGER NOT NULL DEFAULT 14,
    "invoice_day" INTEGER NOT NULL DEFAULT 3,
    "bill_from" DATE NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "closed_at" TIMESTAMPTZ(3),

    CONSTRAINT "accounts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" UUID NOT NULL,
    "account_id" UUID,
    "name" TEXT NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "hint" TEXT NOT NULL,
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "products" (
    "id" UUID NOT NULL,
    "slug" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "family" TEXT NOT NULL,
    "minimum_quantity" INTEGER NOT NULL DEFAULT 1,
    "addon_of" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "products_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "prices" (
    "id" UUID NOT NULL,
    "product_id" UUID NOT NULL,
    "account_id" UUID,
    "currency" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "monthly_amount" DECIMAL(20,6) NOT NULL,
    "effective_from" DATE NOT NULL,
    "ends_on" DATE,
    "bill_while_paused" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "prices_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "sites" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "url" TEXT,
    "external_id" TEXT,
    "client" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sites_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "licenses" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "product_id" UUID NOT NULL,
    "key_cipher" BYTEA NOT NULL,
    "key_hash" BYTEA NOT NULL,
    "key_hint" TEXT NOT NULL,
    "external_ref" TEXT,
    "issued_at" TIMESTAMPTZ(3) NOT NULL,
    "issued_by" UUID NOT NULL,
    "issued_index" INTEGER NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),
    "site_id" UUID,
    "assigned_at" TIMESTAMPTZ(3),

    CONSTRAINT "licenses_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "past_assignments" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "license_id" UUID NOT NULL,
    "site_id" UUID NOT NULL,
    "assigned_at" TIMESTAMPTZ(3) NOT NULL,
    "unassigned_at" TIMESTAMPTZ(3) NOT NULL,
    "seq" BIGSERIAL NOT NULL,

    CONSTRAINT "past_assignments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "actions" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "kind" TEXT NOT NULL,
    "input" JSONB NOT NULL,
    "actor" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'queued',
    "result" JSONB,
    "error" JSONB,
    "idempotency_key" TEXT,
    "request_hash" BYTEA,
    "accepted_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "actions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "staged_jobs" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "key" TEXT NOT NULL,
    "account_id" UUID,
    "due_at" TIMESTAMPTZ(3),
    "next_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "redrives" INTEGER NOT NULL DEFAULT 0,
    "outcome" TEXT,
    "reason" TEXT,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "staged_jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_records" (
    "scope" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "request_hash" BYTEA NOT NULL,
    "status" INTEGER NOT NULL,
    "body_cipher" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_records_pkey" PRIMARY KEY ("scope","key")
);

-- CreateTable
CREATE TABLE "counted_days" (
    "account_id" UUID NOT NULL,
    "day" DATE NOT NULL,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,
    "counted_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "counted_days_pkey" PRIMARY KEY ("account_id","day")
);

-- CreateTable
CREATE TABLE "usage_days" (
    "account_id" UUID NOT NULL,
    "day" DATE NOT NULL,
    "product_id" UUID NOT NULL,
    "days" INTEGER NOT NULL,
    "peak" INTEGER NOT NULL,
    "assigned" INTEGER NOT NULL,
    "unassigned" INTEGER NOT NULL,

    CONSTRAINT "usage_days_pkey" PRIMARY KEY ("account_id","day","product_id")
);

-- CreateTable
CREATE TABLE "closed_months" (
    "account_id" UUID NOT NULL,
    "month" DATE NOT NULL,
    "closed_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "closed_months_pkey" PRIMARY KEY ("account_id","month")
);

-- CreateTable
CREATE TABLE "invoices" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "period_start" DATE NOT NULL,
    "period_end" DATE NOT NULL,
    "currency" TEXT NOT NULL,
    "subtotal" BIGINT NOT NULL,
    "tax" BIGINT NOT NULL DEFAULT 0,
    "total" BIGINT NOT NULL,
    "drafted_at" TIMESTAMPTZ(3) NOT NULL,
    "finalize_at" TIMESTAMPTZ(3) NOT NULL,
    "parked_reason" TEXT,
    "number" TEXT,
    "series" TEXT,
    "sequence" BIGINT,
    "issued_on" DATE,
    "due_on" DATE,
    "bill_to" JSONB,
    "issuer" JSONB,
    "po_number" TEXT,
    "collection" TEXT,
    "finalized_at" TIMESTAMPTZ(3),

    CONSTRAINT "invoices_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice_lines" (
    "invoice_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "account_id" UUID NOT NULL,
    "product_id" UUID,
    "price_id" UUID,
    "description" TEXT NOT NULL,
    "quantity" BIGINT NOT NULL,
    "unit" TEXT NOT NULL,
    "unit_rate" TEXT NOT NULL,
    "amount" BIGINT NOT NULL,
    "starts_on" DATE NOT NULL,
    "ends_on" DATE NOT NULL,

    CONSTRAINT "invoice_lines_pkey" PRIMARY KEY ("invoice_id","position")
);

-- CreateTable
CREATE TABLE "invoice_claims" (
    "account_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "period_start" DATE NOT NULL,
    "invoice_id" UUID NOT NULL,

    CONSTRAINT "invoice_claims_pkey" PRIMARY KEY ("account_id","kind","period_start")
);

-- CreateTable
CREATE TABLE "invoice_states" (
    "invoice_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "status" TEXT NOT NULL,
    "paid" BIGINT NOT NULL DEFAULT 0,
    "credited" BIGINT NOT NULL DEFAULT 0,
    "paid_at" TIMESTAMPTZ(3),
    "unsent" TEXT,

    CONSTRAINT "invoice_states_pkey" PRIMARY KEY ("invoice_id")
);

-- CreateTable
CREATE TABLE "number_series" (
    "series" TEXT NOT NULL,
    "next" BIGINT NOT NULL DEFAULT 1,

    CONSTRAINT "number_series_pkey" PRIMARY KEY ("series")
);

-- CreateTable
CREATE TABLE "vendor_settings" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "issuer" JSONB NOT NULL,
    "series" TEXT NOT NULL,

    CONSTRAINT "vendor_settings_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stripe_customers" (
    "account_id" UUID NOT NULL,
    "customer_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stripe_customers_pkey" PRIMARY KEY ("account_id")
);

-- CreateTable
CREATE TABLE "payment_methods" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "stripe_id" TEXT NOT NULL,
    "brand" TEXT NOT NULL,
    "last4" TEXT NOT NULL,
    "exp_month" INTEGER NOT NULL,
    "exp_year" INTEGER NOT NULL,
    "primary" BOOLEAN NOT NULL,
    "added_at" TIMESTAMPTZ(3) NOT NULL,
    "removed_at" TIMESTAMPTZ(3),

    CONSTRAINT "payment_methods_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice_mirrors" (
    "invoice_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "stripe_invoice_id" TEXT NOT NULL,
    "hosted_url" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "invoice_mirrors_pkey" PRIMARY KEY ("invoice_id")
);

-- CreateTable
CREATE TABLE "payments" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "invoice_id" UUID NOT NULL,
    "payment_method_id" UUID,
    "amount" BIGINT NOT NULL,
    "currency" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "provider_id" TEXT,
    "code" TEXT,
    "advice" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "sent_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "payments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stripe_events" (
    "id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "object_id" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stripe_events_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "documents" (
    "invoice_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "account_id" UUID NOT NULL,
    "file" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "bytes" INTEGER NOT NULL,
    "rendered_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "documents_pkey" PRIMARY KEY ("invoice_id","kind")
);

-- CreateTable
CREATE TABLE "messages" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "message_id" TEXT NOT NULL,
    "recipients" TEXT[],
    "subject" TEXT NOT NULL,
    "sent_at" TIMESTAMPTZ(3),

    CONSTRAINT "messages_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_entries" (
    "seq" BIGSERIAL NOT NULL,
    "account_id" UUID,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "details" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "audit_entries_pkey" PRIMARY KEY ("seq")
);

-- CreateIndex
CREATE UNIQUE INDEX "accounts_external_id_key" ON "accounts"("external_id");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_secret_hash_key" ON "api_keys"("secret_hash");

-- CreateIndex
CREATE INDEX "api_keys_account_id_idx" ON "api_keys"("account_id");

-- CreateIndex
CREATE UNIQUE INDEX "products_slug_key" ON "products"("slug");

-- CreateIndex
CREATE INDEX "prices_product_id_currency_effective_from_idx" ON "prices"("product_id", "currency", "effective_from");

-- CreateIndex
CREATE INDEX "prices_account_id_idx" ON "prices"("account_id");

-- CreateIndex
CREATE UNIQUE INDEX "licenses_key_hash_key" ON "licenses"("key_hash");

-- CreateIndex
CREATE INDEX "licenses_account_id_issued_at_id_idx" ON "licenses"("account_id", "issued_at" DESC, "id" DESC);

-- CreateIndex
CREATE INDEX "licenses_account_id_product_id_issued_at_idx" ON "licenses"("account_id", "product_id", "issued_at");

-- CreateIndex
CREATE INDEX "licenses_account_id_site_id_idx" ON "licenses"("account_id", "site_id");

-- CreateIndex
CREATE UNIQUE INDEX "licenses_issued_by_issued_index_key" ON "licenses"("issued_by", "issued_index");

-- CreateIndex
CREATE INDEX "past_assignments_account_id_license_id_unassigned_at_idx" ON "past_assignments"("account_id", "license_id", "unassigned_at");

-- CreateIndex
CREATE UNIQUE INDEX "actions_account_id_idempotency_key_key" ON "actions"("account_id", "idempotency_key");

-- CreateIndex
CREATE INDEX "counted_days_account_id_ends_at_idx" ON "counted_days"("account_id", "ends_at");

-- CreateIndex
CREATE UNIQUE INDEX "invoices_number_key" ON "invoices"("number");

-- CreateIndex
CREATE INDEX "invoices_account_id_drafted_at_idx" ON "invoices"("account_id", "drafted_at" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "invoices_series_sequence_key" ON "invoices"("series", "sequence");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_claims_invoice_id_key" ON "invoice_claims"("invoice_id");

-- CreateIndex
CREATE INDEX "invoice_states_account_id_status_idx" ON "invoice_states"("account_id", "status");

-- CreateIndex
CREATE UNIQUE INDEX "stripe_customers_customer_id_key" ON "stripe_customers"("customer_id");

-- CreateIndex
CREATE UNIQUE INDEX "payment_methods_stripe_id_key" ON "payment_methods"("stripe_id");

-- CreateIndex
CREATE INDEX "payment_methods_account_id_idx" ON "payment_methods"("account_id");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_mirrors_stripe_invoice_id_key" ON "invoice_mirrors"("stripe_invoice_id");

-- CreateIndex
CREATE UNIQUE INDEX "payments_provider_id_key" ON "payments"("provider_id");

-- CreateIndex
CREATE INDEX "payments_account_id_invoice_id_idx" ON "payments"("account_id", "invoice_id");

-- CreateIndex
CREATE UNIQUE INDEX "messages_reason_key" ON "messages"("reason");

-- CreateIndex
CREATE INDEX "messages_account_id_idx" ON "messages"("account_id");

-- CreateIndex
CREATE INDEX "audit_entries_account_id_seq_idx" ON "audit_entries"("account_id", "seq");

-- CreateIndex
CREATE INDEX "audit_entries_subject_idx" ON "audit_entries"("subject");

-- What Prisma cannot say -----------------------------------------------------------------------------------------------

-- Foreign keys. The cascades are deliberate absences: nothing of an account is ever deleted.
ALTER TABLE "api_keys" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "prices" ADD FOREIGN KEY ("product_id") REFERENCES "products" ("id");
ALTER TABLE "prices" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "sites" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "sites" ADD UNIQUE ("account_id", "id");
ALTER TABLE "licenses" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "licenses" ADD FOREIGN KEY ("product_id") REFERENCES "products" ("id");
-- A license stands on a site of its own account: the pair is the key.
ALTER TABLE "licenses" ADD FOREIGN KEY ("account_id", "site_id") REFERENCES "sites" ("account_id", "id");
ALTER TABLE "licenses" ADD UNIQUE ("account_id", "id");
ALTER TABLE "past_assignments" ADD FOREIGN KEY ("account_id", "license_id") REFERENCES "licenses" ("account_id", "id");
ALTER TABLE "past_assignments" ADD FOREIGN KEY ("account_id", "site_id") REFERENCES "sites" ("account_id", "id");
ALTER TABLE "actions" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "counted_days" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "usage_days" ADD FOREIGN KEY ("account_id", "day") REFERENCES "counted_days" ("account_id", "day");
ALTER TABLE "closed_months" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "invoices" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "invoices" ADD UNIQUE ("account_id", "id");
ALTER TABLE "invoice_lines" ADD FOREIGN KEY ("account_id", "invoice_id") REFERENCES "invoices" ("account_id", "id");
ALTER TABLE "invoice_claims" ADD FOREIGN KEY ("account_id", "invoice_id") REFERENCES "invoices" ("account_id", "id");
ALTER TABLE "invoice_states" ADD FOREIGN KEY ("account_id", "invoice_id") REFERENCES "invoices" ("account_id", "id");
ALTER TABLE "invoice_mirrors" ADD FOREIGN KEY ("account_id", "invoice_id") REFERENCES "invoices" ("account_id", "id");
ALTER TABLE "payments" ADD FOREIGN KEY ("account_id", "invoice_id") REFERENCES "invoices" ("account_id", "id");
ALTER TABLE "payment_methods" ADD UNIQUE ("account_id", "id");
ALTER TABLE "payments" ADD FOREIGN KEY ("account_id", "payment_method_id") REFERENCES "payment_methods" ("account_id", "id");
ALTER TABLE "payment_methods" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "stripe_customers" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "documents" ADD FOREIGN KEY ("account_id", "invoice_id") REFERENCES "invoices" ("account_id", "id");
ALTER TABLE "messages" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");

-- Partial and null-aware uniques: the walls behind "at most one".
CREATE UNIQUE INDEX "prices_fact" ON "prices" ("product_id", "currency", "account_id", "effective_from") NULLS NOT DISTINCT;
CREATE UNIQUE INDEX "sites_url" ON "sites" ("account_id", "url") WHERE "url" IS NOT NULL;
CREATE UNIQUE INDEX "sites_external_id" ON "sites" ("account_id", "external_id") WHERE "external_id" IS NOT NULL;
CREATE UNIQUE INDEX "licenses_external_ref" ON "licenses" ("account_id", "external_ref") WHERE "external_ref" IS NOT NULL;
CREATE INDEX "licenses_unrevoked" ON "licenses" ("account_id", "product_id", "issued_at") WHERE "revoked_at" IS NULL;
CREATE INDEX "actions_open" ON "actions" ("account_id", "seq") WHERE "ended_at" IS NULL;
CREATE UNIQUE INDEX "staged_jobs_fact" ON "staged_jobs" ("name", "key") WHERE "finished_at" IS NULL;
CREATE INDEX "staged_jobs_finished" ON "staged_jobs" ("finished_at" DESC) WHERE "finished_at" IS NOT NULL;
CREATE INDEX "staged_jobs_unfinished" ON "staged_jobs" ("next_at") WHERE "finished_at" IS NULL;
CREATE UNIQUE INDEX "payment_methods_primary" ON "payment_methods" ("account_id") WHERE "primary" AND "removed_at" IS NULL;
CREATE UNIQUE INDEX "payments_in_flight" ON "payments" ("invoice_id")
  WHERE "status" IN ('created', 'sent', 'processing', 'unknown');
CREATE UNIQUE INDEX "payments_succeeded" ON "payments" ("invoice_id") WHERE "status" = 'succeeded';
CREATE INDEX "invoices_drafts" ON "invoices" ("finalize_at") WHERE "finalized_at" IS NULL;

-- Checks. Text with a check in place of enums: enum comparisons use no index under row-level security.
ALTER TABLE "accounts"
  ADD CHECK ("currency" ~ '^[a-z]{3}$'), ADD CHECK ("invoice_day" BETWEEN 1 AND 8),
  ADD CHECK ("net_days" BETWEEN 0 AND 365), ADD CHECK ("autopay_cap" >= 0), ADD CHECK (length("name") BETWEEN 1 AND 200);
ALTER TABLE "prices" ADD CHECK ("model" IN ('per_day', 'high_water_mark', 'term')), ADD CHECK ("monthly_amount" >= 0),
  ADD CHECK ("ends_on" > "effective_from");
ALTER TABLE "sites" ADD CHECK ("url" IS NOT NULL OR "external_id" IS NOT NULL);
ALTER TABLE "licenses"
  ADD CHECK ("revoked_at" >= "issued_at"),
  ADD CHECK (("site_id" IS NULL) = ("assigned_at" IS NULL)),
  ADD CHECK ("revoked_at" IS NULL OR "site_id" IS NULL);
ALTER TABLE "past_assignments" ADD CHECK ("unassigned_at" >= "assigned_at");
ALTER TABLE "actions"
  ADD CHECK ("status" IN ('queued', 'running', 'done', 'refused', 'failed')),
  ADD CHECK (("ended_at" IS NULL) = ("status" IN ('queued', 'running'))),
  ADD CHECK (("error" IS NULL) = ("status" NOT IN ('refused', 'failed')));
ALTER TABLE "staged_jobs"
  ADD CHECK ("outcome" IN ('done', 'skipped', 'dead')), ADD CHECK (("outcome" IS NULL) = ("finished_at" IS NULL));
ALTER TABLE "counted_days" ADD CHECK ("ends_at" >= "starts_at"), ADD CHECK ("counted_at" >= "ends_at");
ALTER TABLE "usage_days" ADD CHECK ("days" >= 0 AND "peak" >= 0 AND "assigned" >= 0 AND "unassigned" >= 0);
ALTER TABLE "closed_months" ADD CHECK (extract(day FROM "month") = 1);
ALTER TABLE "invoices"
  ADD CHECK ("kind" IN ('usage', 'contract', 'overage', 'renewal', 'proration')),
  ADD CHECK ("total" = "subtotal" + "tax"), ADD CHECK ("total" >= 0), ADD CHECK ("period_end" >= "period_start"),
  ADD CHECK ("collection" IN ('charge', 'send')),
  ADD CHECK (num_nulls("finalized_at", "number", "series", "sequence", "issued_on", "bill_to", "issuer", "collection") IN (0, 8)),
  ADD CHECK ("finalized_at" IS NULL OR "parked_reason" IS NULL);
ALTER TABLE "invoice_states"
  ADD CHECK ("status" IN ('open', 'paid', 'void', 'uncollectible')),
  ADD CHECK ("paid" >= 0 AND "credited" >= 0), ADD CHECK (("paid_at" IS NULL) = ("status" <> 'paid'));
ALTER TABLE "payments"
  ADD CHECK ("amount" > 0),
  ADD CHECK ("status" IN ('created', 'sent', 'succeeded', 'failed', 'requires_action', 'processing', 'unknown'));
ALTER TABLE "documents" ADD CHECK ("kind" IN ('invoice', 'paid_copy'));
ALTER TABLE "vendor_settings" ADD CHECK ("id" = 1);
ALTER TABLE "api_keys" ADD CHECK ("scopes" <@ ARRAY['operator', 'owner', 'billing', 'licenses', 'viewer'] AND cardinality("scopes") > 0),
  ADD CHECK (("account_id" IS NULL) = ('operator' = ANY ("scopes")));

-- I7: a finalized invoice and its lines never change.
CREATE FUNCTION refuse_final_invoice_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.finalized_at IS NOT NULL THEN
    RAISE EXCEPTION 'invoice % is final and never changes', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.finalized_at IS NOT NULL
     AND NEW.subtotal <> (SELECT coalesce(sum(amount), 0) FROM invoice_lines WHERE invoice_id = NEW.id) THEN
    RAISE EXCEPTION 'invoice %: its lines do not add up to its subtotal', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION refuse_born_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an invoice begins as a draft' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER "born_drafts" BEFORE INSERT ON "invoices"
  FOR EACH ROW WHEN (NEW.finalized_at IS NOT NULL) EXECUTE FUNCTION refuse_born_final();
CREATE TRIGGER "final_invoices" BEFORE UPDATE OR DELETE ON "invoices"
  FOR EACH ROW EXECUTE FUNCTION refuse_final_invoice_change();

-- The share lock makes a line wait for a finalization under way, and a finalization for a line.
CREATE FUNCTION refuse_final_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE final timestamptz;
BEGIN
  FOR final IN SELECT finalized_at FROM invoices
               WHERE (TG_OP <> 'INSERT' AND id = OLD.invoice_id) OR (TG_OP <> 'DELETE' AND id = NEW.invoice_id)
               FOR SHARE LOOP
    IF final IS NOT NULL THEN
      RAISE EXCEPTION 'the lines of a final invoice never change' USING ERRCODE = 'check_violation';
    END IF;
  END LOOP;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER "final_lines" BEFORE INSERT OR UPDATE OR DELETE ON "invoice_lines"
  FOR EACH ROW EXECUTE FUNCTION refuse_final_line_change();

-- I10: the audit log only grows.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER "append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_entries"
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER "never_emptied" BEFORE TRUNCATE ON "invoices" FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER "never_emptied" BEFORE TRUNCATE ON "invoice_lines" FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Roles. The release step gives them a password; here they only have to exist.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'perdiem_api') THEN CREATE ROLE perdiem_api NOLOGIN; END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'perdiem_worker') THEN CREATE ROLE perdiem_worker NOLOGIN; END IF;
END $$;
GRANT USAGE ON SCHEMA public TO perdiem_api, perdiem_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO perdiem_api, perdiem_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO perdiem_api, perdiem_worker;
DO $$
BEGIN
  IF to_regclass('_prisma_migrations') IS NOT NULL THEN
    REVOKE ALL ON "_prisma_migrations" FROM perdiem_api, perdiem_worker;
  END IF;
END $$;
REVOKE SELECT ON "number_series", "stripe_events" FROM perdiem_api;
-- The API records what people ask for; it finalizes, counts, charges and mails nothing.
-- Every function below that runs as its owner names pg_temp last: searched first, as it is when not named, a temporary
-- table of the caller's would stand in for ours.
GRANT INSERT ON "accounts", "api_keys", "products", "prices" TO perdiem_api;
GRANT UPDATE ("name", "billing_email", "po_number", "company", "autopay", "autopay_cap", "card_required", "net_days",
  "invoice_day", "closed_at") ON "accounts" TO perdiem_api;
GRANT UPDATE ("revoked_at") ON "api_keys" TO perdiem_api;
GRANT UPDATE ("issuer", "series") ON "vendor_settings" TO perdiem_api;
-- Actions and jobs it makes only through accept_action() and receive_stripe_event(), which fix what the job is.
GRANT INSERT ON "audit_entries", "idempotency_records", "stripe_customers" TO perdiem_api;
GRANT DELETE ON "idempotency_records" TO perdiem_api;
GRANT INSERT, UPDATE, DELETE ON
  "sites", "licenses", "past_assignments", "actions", "staged_jobs", "counted_days", "usage_days", "closed_months",
  "invoices", "invoice_lines", "invoice_claims", "invoice_states", "number_series", "stripe_customers",
  "payment_methods", "invoice_mirrors", "payments", "documents", "messages" TO perdiem_worker;
GRANT UPDATE ON "accounts" TO perdiem_worker;
GRANT INSERT ON "audit_entries" TO perdiem_worker;

-- I11: row-level security behind the code's own scoping. The API sees the account that its transaction names, and an
-- operator's transaction everything; a transaction that names nobody sees nothing. The worker serves all accounts.
CREATE FUNCTION sees_account(account uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT account = nullif(current_setting('perdiem.account', true), '')::uuid
      OR current_setting('perdiem.operator', true) = 'on'
$$;
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT table_name FROM information_schema.columns
              WHERE table_schema = 'public' AND column_name = 'account_id' LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY worker ON %I TO perdiem_worker USING (true)', name);
    IF name <> 'prices' THEN
      EXECUTE format('CREATE POLICY account ON %I TO perdiem_api USING (sees_account(account_id))', name);
    END IF;
  END LOOP;
END $$;
ALTER TABLE "accounts" ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON "accounts" TO perdiem_worker USING (true);
CREATE POLICY account ON "accounts" TO perdiem_api USING (sees_account("id"));
-- List prices are everybody's to read; own prices only their account's. Only an operator writes either.
CREATE POLICY account ON "prices" FOR SELECT TO perdiem_api USING ("account_id" IS NULL OR sees_account("account_id"));
CREATE POLICY operator ON "prices" TO perdiem_api USING (current_setting('perdiem.operator', true) = 'on');
ALTER TABLE "idempotency_records" ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON "idempotency_records" TO perdiem_api
  USING ("scope" = nullif(current_setting('perdiem.scope', true), '')::uuid);

-- Asked before the account is known: one row by the hash of a secret, nothing else.
CREATE FUNCTION find_api_key(hash bytea)
  RETURNS TABLE (id uuid, account_id uuid, scopes text[], closed boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id, k.account_id, k.scopes, a.closed_at IS NOT NULL
  FROM api_keys k LEFT JOIN accounts a ON a.id = k.account_id
  WHERE k.secret_hash = hash AND k.revoked_at IS NULL
$$;

-- A webhook is stored by its id and its job staged in one statement, before the 200. A repetition does nothing.
CREATE FUNCTION receive_stripe_event(
  event_id text, event_type text, event_object text, at timestamptz, job_id uuid
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO stripe_events (id, type, object_id, received_at) VALUES (event_id, event_type, event_object, at)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO staged_jobs (id, name, payload, key, next_at)
  VALUES (job_id, 'payments.follow-stripe-event', jsonb_build_object('event', event_id), event_id, now() + interval '10 seconds');
  RETURN true;
END $$;

-- An action is recorded and its job staged in one statement. Verdicts: accepted, replayed, key_reused, in_progress,
-- too_early. too_early: a day that ends after p_at has been counted already, so that the action would be missing from
-- it; the caller reads the clock again. The key-share lock on the account excludes the count while we insert.
CREATE FUNCTION accept_action(
  p_account uuid, p_id uuid, p_kind text, p_input jsonb, p_actor text, p_at timestamptz,
  p_job_id uuid, p_key text, p_hash bytea
) RETURNS TABLE (verdict text, action_id uuid)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE known record;
BEGIN
  IF p_key IS NOT NULL THEN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(p_account::text || p_key, 1)) THEN
      RETURN QUERY SELECT 'in_progress', NULL::uuid;
      RETURN;
    END IF;
    -- Keys are kept 30 days (api.md); an older one is free again.
    UPDATE actions SET idempotency_key = NULL
    WHERE account_id = p_account AND idempotency_key = p_key AND accepted_at < p_at - interval '30 days';
    SELECT id, request_hash INTO known FROM actions WHERE account_id = p_account AND idempotency_key = p_key;
    IF FOUND THEN
      RETURN QUERY SELECT CASE WHEN known.request_hash = p_hash THEN 'replayed' ELSE 'key_reused' END, known.id;
      RETURN;
    END IF;
  END IF;
  PERFORM 1 FROM accounts WHERE id = p_account FOR KEY SHARE;
  IF p_at < (SELECT max(ends_at) FROM counted_days WHERE account_id = p_account) THEN
    RETURN QUERY SELECT 'too_early', NULL::uuid;
    RETURN;
  END IF;
  INSERT INTO actions (id, account_id, kind, input, actor, accepted_at, idempotency_key, request_hash)
  VALUES (p_id, p_account, p_kind, p_input, p_actor, p_at, p_key, p_hash);
  INSERT INTO staged_jobs (id, name, payload, key, account_id, next_at)
  VALUES (p_job_id, 'licenses.apply-action', jsonb_build_object('action', p_id), p_id::text, p_account, now() + interval '10 seconds');
  RETURN QUERY SELECT 'accepted', p_id;
END $$;
REVOKE ALL ON FUNCTION find_api_key(bytea), receive_stripe_event(text, text, text, timestamptz, uuid),
  accept_action(uuid, uuid, text, jsonb, text, timestamptz, uuid, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key(bytea), receive_stripe_event(text, text, text, timestamptz, uuid),
  accept_action(uuid, uuid, text, jsonb, text, timestamptz, uuid, text, bytea) TO perdiem_api;

-- The vendor's settings are one row that is always there.
INSERT INTO vendor_settings (id, issuer, series)
VALUES (1, '{"name": "Your company", "address": [], "tax_ids": [], "support": null}', 'PD');

-- For /readyz, which knows no account: one number about everybody's jobs.
CREATE FUNCTION oldest_undone_job_s() RETURNS float8 LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM staged_jobs
  WHERE finished_at IS NULL AND due_at IS NULL
$$;
REVOKE ALL ON FUNCTION oldest_undone_job_s() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION oldest_undone_job_s() TO perdiem_api;

-- An operator tries a dead job again: the one change of a job that the API may make. A fact that is being worked under
-- another row is not dead.
CREATE FUNCTION redrive_job(job uuid) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE found_outcome text;
BEGIN
  IF current_setting('perdiem.operator', true) IS DISTINCT FROM 'on' THEN RETURN 'unknown'; END IF;
  SELECT coalesce(outcome, 'open') INTO found_outcome FROM staged_jobs WHERE id = job FOR UPDATE;
  IF NOT FOUND THEN RETURN 'unknown'; END IF;
  IF found_outcome <> 'dead' OR EXISTS (
    SELECT 1 FROM staged_jobs o JOIN staged_jobs j ON j.id = job AND o.name = j.name AND o.key = j.key
    WHERE o.finished_at IS NULL) THEN RETURN 'not_dead'; END IF;
  UPDATE staged_jobs SET finished_at = NULL, outcome = NULL, attempts = 0, redrives = redrives + 1,
    next_at = clock_timestamp() WHERE id = job;
  RETURN 'redriven';
END $$;
REVOKE ALL ON FUNCTION redrive_job(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redrive_job(uuid) TO perdiem_api;
