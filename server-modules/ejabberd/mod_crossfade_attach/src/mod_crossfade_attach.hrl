%% What the files of this module share.
-define(NS_ATTACH, <<"urn:crossfade:attach:1">>).
-define(VERSION, <<"1">>).
