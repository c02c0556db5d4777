-- Several shots of one moment, of which one stands for all. The code gives a stack another primary asset before
-- its own goes; should it ever not, the stack goes with it, and the others stand for themselves.
create table stack (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null references app_user on delete cascade,
  primary_asset_id uuid not null unique references asset on delete cascade,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index stack_owner on stack (owner_id);
alter table asset add column stack_id uuid references stack on delete set null;
create index asset_stack on asset (stack_id) where stack_id is not null;
