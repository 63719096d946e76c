-- CreateTable
CREATE TABLE "leases" (
    "name" TEXT NOT NULL,
    "holder" UUID NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "leases_pkey" PRIMARY KEY ("name")
);

-- Who leads is the workers' own business; the API only tells operators.
GRANT SELECT ON "leases" TO perdiem_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON "leases" TO perdiem_worker;

-- A key of an operator's that may look at everything and change nothing.
ALTER TABLE "api_keys" DROP CONSTRAINT "api_keys_scopes_check", DROP CONSTRAINT "api_keys_check",
  ADD CONSTRAINT "api_keys_scopes_check"
    CHECK ("scopes" <@ ARRAY['operator', 'observer', 'owner', 'billing', 'licenses', 'viewer'] AND cardinality("scopes") > 0),
  ADD CONSTRAINT "api_keys_check" CHECK (("account_id" IS NULL) = ("scopes" && ARRAY['operator', 'observer']));

-- Tells the queue again of everything undone, at once: for a queue that has lost what it knew. Returns how many.
CREATE FUNCTION rebuild_queue() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE told integer;
BEGIN
  IF current_setting('perdiem.operator', true) IS DISTINCT FROM 'on' THEN RETURN 0; END IF;
  UPDATE staged_jobs SET next_at = clock_timestamp() WHERE finished_at IS NULL;
  GET DIAGNOSTICS told = ROW_COUNT;
  RETURN told;
END $$;
REVOKE ALL ON FUNCTION rebuild_queue() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rebuild_queue() TO perdiem_api;

-- What is staged and not told to the queue, because the process died in between, is looked for after two seconds.
DO $$
DECLARE one oid;
BEGIN
  FOR one IN SELECT oid FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prosrc LIKE '%INSERT INTO staged_jobs%interval ''10 seconds''%'
  LOOP
    EXECUTE replace(pg_get_functiondef(one), 'interval ''10 seconds''', 'interval ''2 seconds''');
  END LOOP;
END $$;

-- Without a key, too, an action is recorded once: whoever asks again with its id, because the answer to the first time was
-- lost, hears that it is accepted.
DO $$
BEGIN
  EXECUTE replace(
    pg_get_functiondef('accept_action(uuid, uuid, text, jsonb, text, timestamptz, uuid, text, bytea)'::regprocedure),
    '  PERFORM 1 FROM accounts',
    '  IF p_key IS NULL AND EXISTS (SELECT 1 FROM actions WHERE id = p_id AND account_id = p_account) THEN
    RETURN QUERY SELECT ''accepted'', p_id;
    RETURN;
  END IF;
  PERFORM 1 FROM accounts');
END $$;
