-- Placements changed after change $1.
SELECT company_id, app, placement, epoch, server, database_name, database_oid, database_uuid, released_uuid,
       move_id IS NOT NULL, change_number, update_time
  FROM fbs_router.placement WHERE change_number > $1
