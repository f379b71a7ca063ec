def test_it(cli, here):
    r = cli("capture","model","--scene","scene.json","--frames",4,"-o","new.h5","--max-new-tokens",2)
    print(r)
    r = cli("correct","run.h5","-o","o")
    print(r)
    assert 0
