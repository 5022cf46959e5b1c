-- Releases that a provider may have: few at any time, and found without reading the payments that have none.

create index payments_releasing on payments (merchant_id, id)
    where details #>> '{document,release,state}' in ('sending', 'pending', 'unknown');
