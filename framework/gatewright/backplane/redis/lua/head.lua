begin()
return { epoch, n, seq }
