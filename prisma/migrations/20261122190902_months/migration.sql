-- AlterTable
ALTER TABLE "usage_days" ADD COLUMN     "paused_days" INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "holds" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "source" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "until" TIMESTAMPTZ(3),

    CONSTRAINT "holds_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "hold_members" (
    "hold_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "license_id" UUID NOT NULL,

    CONSTRAINT "hold_members_pkey" PRIMARY KEY ("hold_id","license_id")
);

-- CreateTable
CREATE TABLE "imports" (
    "id" UUID NOT NULL,
    "bill_from" DATE NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'receiving',
    "actor" TEXT NOT NULL,
    "chunks_left" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "imports_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "import_accounts" (
    "import_id" UUID NOT NULL,
    "line" INTEGER NOT NULL,
    "account" TEXT NOT NULL,
    "details" JSONB NOT NULL,

    CONSTRAINT "import_accounts_pkey" PRIMARY KEY ("import_id","line")
);

-- CreateTable
CREATE TABLE "import_prices" (
    "import_id" UUID NOT NULL,
    "line" INTEGER NOT NULL,
    "account" TEXT NOT NULL,
    "product" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "family" TEXT NOT NULL,
    "currency" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "monthly_amount" DECIMAL(20,6) NOT NULL,
    "effective_from" DATE NOT NULL,

    CONSTRAINT "import_prices_pkey" PRIMARY KEY ("import_id","line")
);

-- CreateTable
CREATE TABLE "import_events" (
    "import_id" UUID NOT NULL,
    "account" TEXT NOT NULL,
    "license" TEXT NOT NULL,
    "line" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "event" TEXT NOT NULL,
    "product" TEXT,
    "site_url" TEXT,
    "site_external_id" TEXT,
    "client" TEXT,

    CONSTRAINT "import_events_pkey" PRIMARY KEY ("import_id","account","license","line")
);

-- CreateTable
CREATE TABLE "import_targets" (
    "import_id" UUID NOT NULL,
    "account" TEXT NOT NULL,
    "chunk" INTEGER NOT NULL,
    "events" INTEGER NOT NULL,
    "account_id" UUID,
    "settled_until" TIMESTAMPTZ(3),
    "outcome" TEXT,

    CONSTRAINT "import_targets_pkey" PRIMARY KEY ("import_id","account")
);

-- CreateTable
CREATE TABLE "import_failures" (
    "import_id" UUID NOT NULL,
    "file" TEXT NOT NULL,
    "line" INTEGER NOT NULL,
    "field" TEXT NOT NULL,
    "account" TEXT,
    "message" TEXT NOT NULL,

    CONSTRAINT "import_failures_pkey" PRIMARY KEY ("import_id","file","line","field")
);

-- CreateIndex
CREATE INDEX "holds_account_id_since_idx" ON "holds"("account_id", "since");

-- CreateIndex
CREATE INDEX "hold_members_account_id_license_id_idx" ON "hold_members"("account_id", "license_id");

-- CreateIndex
CREATE INDEX "import_targets_import_id_chunk_idx" ON "import_targets"("import_id", "chunk");

-- What Prisma cannot say -----------------------------------------------------------------------------------------------

ALTER TABLE "holds" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "holds" ADD UNIQUE ("account_id", "id");
ALTER TABLE "hold_members" ADD FOREIGN KEY ("account_id", "hold_id") REFERENCES "holds" ("account_id", "id");
ALTER TABLE "hold_members" ADD FOREIGN KEY ("account_id", "license_id") REFERENCES "licenses" ("account_id", "id");
ALTER TABLE "invoice_lines" ADD FOREIGN KEY ("product_id") REFERENCES "products" ("id");
ALTER TABLE "invoice_lines" ADD FOREIGN KEY ("price_id") REFERENCES "prices" ("id");
ALTER TABLE "import_accounts" ADD FOREIGN KEY ("import_id") REFERENCES "imports" ("id");
ALTER TABLE "import_prices" ADD FOREIGN KEY ("import_id") REFERENCES "imports" ("id");
ALTER TABLE "import_targets" ADD FOREIGN KEY ("import_id") REFERENCES "imports" ("id");
ALTER TABLE "import_targets" ADD FOREIGN KEY ("account_id") REFERENCES "accounts" ("id");
ALTER TABLE "import_failures" ADD FOREIGN KEY ("import_id") REFERENCES "imports" ("id");

ALTER TABLE "holds" ADD CHECK ("source" IN ('operator', 'dunning')), ADD CHECK ("until" >= "since");
ALTER TABLE "usage_days" ADD CHECK ("paused_days" >= 0);
ALTER TABLE "imports"
  ADD CHECK ("status" IN ('receiving', 'applying', 'done', 'refused')), ADD CHECK (extract(day FROM "bill_from") = 1),
  ADD CHECK (("ended_at" IS NULL) = ("status" IN ('receiving', 'applying'))), ADD CHECK ("chunks_left" >= 0);
ALTER TABLE "import_events" ADD CHECK ("event" IN ('issue', 'assign', 'unassign', 'revoke'));
ALTER TABLE "import_targets" ADD CHECK ("outcome" IN ('done', 'unchanged', 'refused'));
ALTER TABLE "import_failures" ADD CHECK ("file" IN ('accounts.csv', 'prices.csv', 'events.csv'));
-- Two imports applied at once could each see half of the other.
CREATE UNIQUE INDEX "imports_applying" ON "imports" ("status") WHERE "status" = 'applying';

-- Counting reads an account's licenses from this index alone, without the table: a million of them lie scattered there in
-- the order they were issued. That needs pages known to be visible to all, hence the eager vacuum.
DROP INDEX "licenses_account_id_product_id_issued_at_idx";
CREATE INDEX "licenses_account_id_product_id_issued_at_idx" ON "licenses" ("account_id", "product_id", "issued_at")
  INCLUDE ("revoked_at", "assigned_at", "id");
ALTER TABLE "licenses" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.01);

-- I7, once a statement rather than once a line: a close inserts them by the thousand. The share lock makes lines wait for
-- a finalization under way, and a finalization for lines.
DROP TRIGGER "final_lines" ON "invoice_lines";
DROP FUNCTION refuse_final_line_change();
CREATE FUNCTION refuse_final_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM invoices WHERE id IN (SELECT invoice_id FROM changed) ORDER BY id FOR SHARE;
  IF EXISTS (SELECT 1 FROM invoices WHERE id IN (SELECT invoice_id FROM changed) AND finalized_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the lines of a final invoice never change' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER "final_lines_inserted" AFTER INSERT ON "invoice_lines" REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_final_line_change();
CREATE TRIGGER "final_lines_before" AFTER UPDATE ON "invoice_lines" REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_final_line_change();
CREATE TRIGGER "final_lines_after" AFTER UPDATE ON "invoice_lines" REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_final_line_change();
CREATE TRIGGER "final_lines_deleted" AFTER DELETE ON "invoice_lines" REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_final_line_change();

-- Roles. The API takes rows in and reads what came of them; only operators' transactions may.
GRANT SELECT ON "holds", "hold_members" TO perdiem_api, perdiem_worker;
GRANT SELECT ON "imports", "import_targets", "import_failures" TO perdiem_api;
GRANT INSERT ON "imports", "import_accounts", "import_prices", "import_events", "import_failures" TO perdiem_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON "holds", "hold_members", "imports", "import_accounts", "import_prices",
  "import_events", "import_targets", "import_failures" TO perdiem_worker;
GRANT INSERT ON "accounts", "products" TO perdiem_worker;
-- Prices are set through add_price() alone, which keeps closed months right.
REVOKE INSERT ON "prices" FROM perdiem_api;
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['holds', 'hold_members'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY worker ON %I TO perdiem_worker USING (true)', name);
    EXECUTE format('CREATE POLICY account ON %I TO perdiem_api USING (sees_account(account_id))', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['imports', 'import_accounts', 'import_prices', 'import_events', 'import_targets',
                              'import_failures'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY worker ON %I TO perdiem_worker USING (true)', name);
    EXECUTE format('CREATE POLICY operator ON %I TO perdiem_api USING (current_setting(''perdiem.operator'', true) = ''on'')', name);
  END LOOP;
END $$;

-- A UUIDv7 of a business instant, for rows made set by set: newest first is then by id.
CREATE FUNCTION uuid_v7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
  SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send(greatest(0, extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid
$$;

-- A price from a day on. Months that are closed but not invoiced are opened again, so that they are drafted by it.
-- Verdicts: created, price_exists, month_closed (usage it would change is invoiced), forbidden.
CREATE FUNCTION add_price(
  p_id uuid, p_product uuid, p_account uuid, p_currency text, p_model text, p_monthly numeric, p_from date, p_ends date,
  p_while_paused boolean, p_at timestamptz, p_job_id uuid
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  holds_until date;
  accounts_touched uuid[];
  months_touched date[];
BEGIN
  IF current_setting('perdiem.operator', true) IS DISTINCT FROM 'on' AND session_user <> 'perdiem_worker' THEN
    RETURN 'forbidden';
  END IF;
  -- A close under way is waited for, and its month then seen; one that comes later waits for this price. A list price
  -- concerns all closes (jobs/invoices/close.store.ts takes the same lock, shared), an own price those of its account.
  IF p_account IS NULL THEN
    PERFORM pg_advisory_xact_lock(7420531811);
  ELSE
    PERFORM 1 FROM accounts WHERE id = p_account FOR NO KEY UPDATE;
  END IF;
  -- A later price of its kind takes over from it. Its end does not bring back the one it took over from: that one is
  -- gone until its own end (rating.ts, priceInForce).
  holds_until := least(
    (SELECT min(effective_from) FROM prices WHERE product_id = p_product AND currency = p_currency
       AND account_id IS NOT DISTINCT FROM p_account AND effective_from > p_from),
    CASE WHEN p_ends IS NOT NULL THEN greatest(p_ends, (
      SELECT coalesce(ends_on, 'infinity') FROM prices WHERE product_id = p_product AND currency = p_currency
        AND account_id IS NOT DISTINCT FROM p_account AND effective_from < p_from
      ORDER BY effective_from DESC LIMIT 1)) END);
  SELECT array_agg(account_id), array_agg(month) INTO accounts_touched, months_touched FROM (
    SELECT m.account_id, m.month FROM closed_months m JOIN accounts a ON a.id = m.account_id AND a.currency = p_currency
    WHERE (p_account IS NULL OR m.account_id = p_account)
      -- A month without an invoice used nothing that is billed.
      AND EXISTS (SELECT 1 FROM invoices i WHERE i.account_id = m.account_id AND i.kind = 'usage' AND i.period_start = m.month)
      AND m.month + interval '1 month' > p_from AND (holds_until IS NULL OR m.month < holds_until)
      AND EXISTS (SELECT 1 FROM usage_days u WHERE u.account_id = m.account_id AND u.product_id = p_product
                    AND u.day >= greatest(m.month, p_from) AND u.day < m.month + interval '1 month'
                    AND (holds_until IS NULL OR u.day < holds_until))) AS touched;
  IF accounts_touched IS NOT NULL THEN
    -- A finalization under way is waited for, and then seen.
    PERFORM 1 FROM invoices i JOIN unnest(accounts_touched, months_touched) AS t (account, month)
      ON i.account_id = t.account AND i.period_start = t.month AND i.kind = 'usage' AND i.finalized_at IS NULL
    ORDER BY i.id FOR UPDATE OF i;
    IF EXISTS (
      SELECT 1 FROM unnest(accounts_touched, months_touched) AS t (account, month) WHERE NOT EXISTS (
        SELECT 1 FROM invoices i WHERE i.account_id = t.account AND i.period_start = t.month AND i.kind = 'usage'
          AND i.finalized_at IS NULL)) THEN
      RETURN 'month_closed';
    END IF;
  END IF;
  INSERT INTO prices (id, product_id, account_id, currency, model, monthly_amount, effective_from, ends_on,
                      bill_while_paused, created_at)
  VALUES (p_id, p_product, p_account, p_currency, p_model, p_monthly, p_from, p_ends, p_while_paused, p_at)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN 'price_exists'; END IF;
  IF accounts_touched IS NOT NULL THEN
    DELETE FROM closed_months m USING unnest(accounts_touched, months_touched) AS t (account, month)
    WHERE m.account_id = t.account AND m.month = t.month;
    INSERT INTO staged_jobs (id, name, payload, key, next_at)
    VALUES (p_job_id, 'invoices.close-all-months',
            jsonb_build_object('at', to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), p_job_id::text, now())
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN 'created';
END $$;

-- Whether rows of an import are still taken. The share lock makes begin_import() wait for rows on their way, and rows
-- that come later see that it has begun.
CREATE FUNCTION takes_import_rows(p_import uuid) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE found_status text;
BEGIN
  IF current_setting('perdiem.operator', true) IS DISTINCT FROM 'on' THEN RETURN false; END IF;
  SELECT status INTO found_status FROM imports WHERE id = p_import FOR SHARE;
  RETURN found_status = 'receiving';
END $$;
REVOKE ALL ON FUNCTION takes_import_rows(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION takes_import_rows(uuid) TO perdiem_api;

-- All rows of an import are there: it is applied from now on. Verdicts: begun, unknown, not_receiving, busy.
CREATE FUNCTION begin_import(p_import uuid, p_job_id uuid) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE found_status text;
BEGIN
  IF current_setting('perdiem.operator', true) IS DISTINCT FROM 'on' THEN RETURN 'unknown'; END IF;
  SELECT status INTO found_status FROM imports WHERE id = p_import FOR UPDATE;
  IF NOT FOUND THEN RETURN 'unknown'; END IF;
  IF found_status <> 'receiving' THEN RETURN 'not_receiving'; END IF;
  BEGIN
    UPDATE imports SET status = 'applying' WHERE id = p_import;
  EXCEPTION WHEN unique_violation THEN
    RETURN 'busy';
  END;
  INSERT INTO staged_jobs (id, name, payload, key, next_at)
  VALUES (p_job_id, 'imports.apply-import', jsonb_build_object('import', p_import), p_import::text, now());
  RETURN 'begun';
END $$;
-- A fresh import is nothing like the last one: without this the planner takes a million rows for one.
CREATE FUNCTION analyze_imports() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  ANALYZE import_accounts, import_prices, import_events, import_targets;
END $$;
REVOKE ALL ON FUNCTION analyze_imports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_imports() TO perdiem_worker;

REVOKE ALL ON FUNCTION add_price(uuid, uuid, uuid, text, text, numeric, date, date, boolean, timestamptz, uuid),
  begin_import(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_price(uuid, uuid, uuid, text, text, numeric, date, date, boolean, timestamptz, uuid)
  TO perdiem_api, perdiem_worker;
GRANT EXECUTE ON FUNCTION begin_import(uuid, uuid) TO perdiem_api;
