--! Previous: sha1:8b2e711d73ea78f1f7f13577ae45c0b40b59bc84
--! Hash: sha1:e4ed1c422fcbd42c4d8de4f0a89aba0b8cbf2f36
--! Message: price

alter table items add price int;
